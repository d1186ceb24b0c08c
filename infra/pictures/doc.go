// Package pictures makes smaller pictures of pictures: WebP by libwebp, compiled to WebAssembly, so that no C compiler and no library of the system is
// needed. It decodes JPEG, PNG, GIF and WebP.
//
// Shrinker does it where it is called. Worker has a process of its own do it, which is the same program started again: decoding takes memory and a core
// for a third of a second a photograph, WebAssembly can't be interrupted by Go's scheduler meanwhile, and a file made to break a decoder breaks that process.
// The process runs on one core where nobody else wants to (SCHED_IDLE), inherits no secrets, and ends where nothing was to do for a while, which gives its memory back.
package pictures
