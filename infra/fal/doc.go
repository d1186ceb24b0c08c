// Package fal makes calls to fal.ai: which addresses may be asked (target.go), over connections to public addresses alone (dial.go), with a key that no
// answer ever shows (redact.go). Proxy makes them for others, as they ask; Queue runs models for generations, Webhook hears when they are over, Catalog
// knows what models give.
package fal
