package commands

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// mediaType is a kind of picture or video that elements may show.
type mediaType struct {
	contentType, ext string
}

var (
	mediaPNG  = mediaType{"image/png", "png"}
	mediaJPEG = mediaType{"image/jpeg", "jpg"}
	mediaGIF  = mediaType{"image/gif", "gif"}
	mediaWebP = mediaType{"image/webp", "webp"}
	mediaAVIF = mediaType{"image/avif", "avif"}
	mediaMP4  = mediaType{"video/mp4", "mp4"}
	mediaWebM = mediaType{"video/webm", "webm"}
)

// sniff tells from the first bytes what b is; ok is false for everything that is not in the list above, SVG among it.
func sniff(b []byte) (t mediaType, ok bool) {
	switch {
	case bytes.HasPrefix(b, []byte("\x89PNG\r\n\x1a\n")):
		return mediaPNG, true
	case bytes.HasPrefix(b, []byte("\xff\xd8\xff")):
		return mediaJPEG, true
	case bytes.HasPrefix(b, []byte("GIF87a")), bytes.HasPrefix(b, []byte("GIF89a")):
		return mediaGIF, true
	case len(b) >= 16 && string(b[:4]) == "RIFF" && string(b[8:12]) == "WEBP":
		return mediaWebP, true
	case len(b) >= 16 && string(b[4:8]) == "ftyp":
		return sniffBrands(b)
	case bytes.HasPrefix(b, []byte("\x1a\x45\xdf\xa3")):
		return mediaWebM, isWebM(b)
	}
	return mediaType{}, false
}

// mp4Brands are the brands of files that browsers play as video/mp4. QuickTime's and HEIC's are not among them.
var mp4Brands = []string{"isom", "iso2", "iso3", "iso4", "iso5", "iso6", "mp41", "mp42", "avc1", "M4V ", "dash", "MSNV", "f4v "}

// sniffBrands reads the file type box of ISO base media: the major brand, a version, then compatible brands of 4 bytes each.
func sniffBrands(b []byte) (mediaType, bool) {
	size := int64(binary.BigEndian.Uint32(b))
	if size < 16 || size > 1024 || size > int64(len(b)) {
		return mediaType{}, false
	}
	brands := []string{string(b[8:12])}
	for i := int64(16); i+4 <= size; i += 4 {
		brands = append(brands, string(b[i:i+4]))
	}
	switch major := brands[0]; {
	case major == "avif" || major == "avis",
		(major == "mif1" || major == "msf1") && slices.Contains(brands, "avif"):
		return mediaAVIF, true
	case slices.Contains(mp4Brands, major):
		return mediaMP4, true
	}
	return mediaType{}, false
}

// isWebM looks for the document type in the EBML header: element 0x4282, a size of one byte, then "webm".
func isWebM(b []byte) bool {
	return bytes.Contains(b[:min(len(b), 64)], []byte("\x42\x82\x84webm"))
}
