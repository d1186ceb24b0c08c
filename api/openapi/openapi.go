// Package openapi holds the OpenAPI document of the HTTP surface. It is kept by hand; tests in package api hold it against the routes and
// against what a real server answers.
package openapi

import _ "embed"

//go:embed openapi.json
var document []byte

// Document returns the document: OpenAPI 3.1, JSON. It must not be modified.
func Document() []byte { return document }
