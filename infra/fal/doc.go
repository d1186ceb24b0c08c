// Package fal makes calls to fal.ai for others: which addresses may be asked (target.go), over connections to public addresses alone (dial.go), with a key
// that no answer ever shows (redact.go).
package fal
