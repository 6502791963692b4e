# The hub, with the packages of all layers. Two stages: the compiler stays in the first.
FROM node:20-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci
COPY tsconfig.json tsconfig.build.json ./
COPY scripts scripts
COPY src src
RUN npm run build

FROM node:20-slim
ENV NODE_ENV=production
WORKDIR /app
COPY package.json package-lock.json ./
# Drivers load the package of their broker when they are used. npm does not install a package that is only an optional peer, even when told to; the
# lock file says which versions the tests ran with.
RUN npm pkg delete devDependencies peerDependencies peerDependenciesMeta \
  && npm pkg set dependencies.ioredis=^6.0.0 dependencies.@nats-io/transport-node=~3.3.1 \
  && npm install --no-audit --no-fund \
  && npm cache clean --force
COPY --from=build /app/dist dist
USER node
EXPOSE 8000
# Whether the process answers. Not /ready: a hub whose broker is away keeps its clients, and must not be restarted for it.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:8000/health').then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "dist/cli/main.js"]
CMD ["serve"]
