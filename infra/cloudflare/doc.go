// Package cloudflare is the way to Cloudflare's REST API that D1, KV and provisioning share: the public API, or a gateway Worker that speaks
// the same shape. A Client gives options for cloudflare-go's services; every call made with them has a deadline, a place in the account's
// budget of calls, metrics, and an *Error that says whether anything can have been done.
//
// cloudflare-go's own retries are off: what may be repeated is known where the call is made (see Client.Retry). Use its service packages
// (d1, kv, …), not its root package, which links every product of Cloudflare. A field of parameters is set by its Value and Present.
package cloudflare
