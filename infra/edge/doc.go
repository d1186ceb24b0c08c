// Package edge is the Cloudflare Worker in front of Kanvas (TypeScript, in src) and its tests, which run it on workerd.
package edge
