// @ts-check
/** Peer: nchan, the publish/subscribe module of nginx, with one worker process. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort, startProgram } from '../lib/process-subject.mjs'

const MODULES = ['/usr/lib/nginx/modules', '/usr/lib64/nginx/modules', '/usr/local/lib/nginx/modules']

function modulePath() {
  return MODULES.map((folder) => `${folder}/ngx_nchan_module.so`).find((path) => existsSync(path)) ?? null
}

/** @param {string} folder @param {number} port */
function configuration(folder, port) {
  return `
load_module ${modulePath()};
daemon off;
worker_processes 1;
pid ${folder}/pid;
error_log ${folder}/error.log;
events { worker_connections 20000; }
http {
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  nchan_max_reserved_memory 256M;
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location /events { nchan_subscriber websocket eventsource; nchan_channel_id $arg_group; nchan_subscriber_first_message newest; }
    location /publish { nchan_publisher; nchan_channel_id $arg_group; nchan_message_buffer_length 1000; nchan_message_timeout 60s; }
  }
}
`
}

/** @type {import('../types.d.ts').Subject} */
export const subject = {
  name: 'nchan',
  title: 'nchan (nginx)',
  kind: 'peer',
  transports: ['websocket', 'sse'],
  hasGroups: false,
  answersEarly: true,
  missing() {
    if (spawnSync('nginx', ['-v']).status !== 0 || modulePath() === null)
      return 'no nginx with nchan (Debian: apt-get install libnginx-mod-nchan)'
    return null
  },
  async start(settings) {
    const folder = mkdtempSync(join(tmpdir(), 'groupcast-nchan-'))
    const port = await freePort()
    writeFileSync(join(folder, 'nginx.conf'), configuration(folder, port))
    const command = ['nginx', '-e', `${folder}/error.log`, '-p', folder, '-c', `${folder}/nginx.conf`]
    const publishing = { target: '/publish?group=g0', bodies: (/** @type {string[]} */ texts) => texts }
    return startProgram({ command, port, publishing }, settings)
  },
}
