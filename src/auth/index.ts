/** groupcast/auth: who clients are, by signed tokens. */
export { TOKEN_ALGORITHMS, type TokenAlgorithm, type TokenKey } from './key-material.ts'
export { type NewToken, signToken } from './sign.ts'
export { type TokenOptions, tokens } from './tokens.ts'
