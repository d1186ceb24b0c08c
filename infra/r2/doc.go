// Package r2 keeps objects in Cloudflare R2, or in anything else that speaks S3.
//
// An object is there whole or not at all: small ones go in one request whose bytes the server checks (MD5), large ones in parts
// that become an object only by the last call, and are given up where anything fails before it. Every call has a deadline: by the
// size of what is sent, and for what is received by the time in which nothing comes. Calls that are harmless to repeat, which all
// of these are, are tried three times by the SDK.
package r2
