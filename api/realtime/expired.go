package realtime

import "errors"

// ErrExpired is wrapped by an Authenticator's error where the token was good and is too old: old clients reconnect with such
// tokens and go on as guests where guests may enter.
var ErrExpired = errors.New("realtime: token has expired")
