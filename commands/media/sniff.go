package media

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// Type is a kind of picture or video that elements may show.
type Type struct {
	ContentType string
	Ext         string // of file names, without the dot
}

// Types are all of them.
var Types = []Type{typePNG, typeJPEG, typeGIF, typeWebP, typeAVIF, typeMP4, typeWebM}

// ByContentType finds a type.
func ByContentType(contentType string) (t Type, ok bool) {
	i := slices.IndexFunc(Types, func(t Type) bool { return t.ContentType == contentType })
	if i < 0 {
		return Type{}, false
	}
	return Types[i], true
}

// Video reports whether it moves by itself, with a player.
func (t Type) Video() bool { return t == typeMP4 || t == typeWebM }

var (
	typePNG  = Type{"image/png", "png"}
	typeJPEG = Type{"image/jpeg", "jpg"}
	typeGIF  = Type{"image/gif", "gif"}
	typeWebP = Type{"image/webp", "webp"}
	typeAVIF = Type{"image/avif", "avif"}
	typeMP4  = Type{"video/mp4", "mp4"}
	typeWebM = Type{"video/webm", "webm"}
)

// Sniff tells from the first bytes what b is; ok is false for everything that is not in the list above, SVG among it.
func Sniff(b []byte) (t Type, ok bool) {
	switch {
	case bytes.HasPrefix(b, []byte("\x89PNG\r\n\x1a\n")):
		return typePNG, true
	case bytes.HasPrefix(b, []byte("\xff\xd8\xff")):
		return typeJPEG, true
	case bytes.HasPrefix(b, []byte("GIF87a")), bytes.HasPrefix(b, []byte("GIF89a")):
		return typeGIF, true
	case len(b) >= 16 && string(b[:4]) == "RIFF" && string(b[8:12]) == "WEBP":
		return typeWebP, true
	case len(b) >= 16 && string(b[4:8]) == "ftyp":
		return sniffBrands(b)
	case bytes.HasPrefix(b, []byte("\x1a\x45\xdf\xa3")):
		return typeWebM, isWebM(b)
	}
	return Type{}, false
}

// mp4Brands are the brands of files that browsers play as video/mp4. QuickTime's and HEIC's are not among them.
var mp4Brands = []string{"isom", "iso2", "iso3", "iso4", "iso5", "iso6", "mp41", "mp42", "avc1", "M4V ", "dash", "MSNV", "f4v "}

// sniffBrands reads the file type box of ISO base media: the major brand, a version, then compatible brands of 4 bytes each.
func sniffBrands(b []byte) (Type, bool) {
	size := int64(binary.BigEndian.Uint32(b))
	if size < 16 || size > 1024 || size > int64(len(b)) {
		return Type{}, false
	}
	brands := []string{string(b[8:12])}
	for i := int64(16); i+4 <= size; i += 4 {
		brands = append(brands, string(b[i:i+4]))
	}
	switch major := brands[0]; {
	case major == "avif" || major == "avis",
		(major == "mif1" || major == "msf1") && slices.Contains(brands, "avif"):
		return typeAVIF, true
	case slices.Contains(mp4Brands, major):
		return typeMP4, true
	}
	return Type{}, false
}

// isWebM looks for the document type in the EBML header: element 0x4282, a size of one byte, then "webm".
func isWebM(b []byte) bool {
	return bytes.Contains(b[:min(len(b), 64)], []byte("\x42\x82\x84webm"))
}
