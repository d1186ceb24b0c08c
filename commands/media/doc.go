// Package media looks at what people upload: what it really is, whether it is whole, how large it is shown, and what in it is nobody's business.
//
// Scan reads a file once, from start to end, in little memory and without decoding pixels. Pictures are walked by their own structure: every piece
// must be where the format says, the file must end where the picture ends, and what only describes it (EXIF but the orientation, XMP, comments,
// thumbnails) is left out of what Found.Edited gives.
package media
