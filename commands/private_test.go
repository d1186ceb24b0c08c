package commands_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"image/jpeg"
	"testing"

	"github.com/infinite-kanvas/kanvas/domain"
)

const (
	tagMake, tagOrientation, tagGPS = 0x010f, 0x0112, 0x8825
	tiffText, tiffShort, tiffLong   = 2, 3, 4
	tiffRational                    = 5
)

// entry is one of a TIFF directory; what has more than 4 bytes stands where value says.
func entry(tag, kind uint16, count, value uint32) []byte {
	b := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, tag), kind)
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, count), value)
}

func directory(entries ...[]byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(len(entries)))
	return append(append(b, bytes.Join(entries, nil)...), 0, 0, 0, 0)
}

var (
	camera = []byte("Secret Camera\x00")
	// berlin is 52° 31' 12.03" and 13° 24' 17.81", as cameras write it.
	berlin = []byte{0, 0, 0, 52, 0, 0, 0, 1, 0, 0, 0, 31, 0, 0, 0, 1, 0, 0, 0x04, 0xb3, 0, 0, 0, 100,
		0, 0, 0, 13, 0, 0, 0, 1, 0, 0, 0, 24, 0, 0, 0, 1, 0, 0, 0x06, 0xf5, 0, 0, 0, 100}
)

// snapshot is a photograph as a phone gives it: turned, with the camera's name and where it was taken.
func snapshot(photo []byte) []byte {
	const first, firstSize = 8, 2 + 3*12 + 4
	const gps, gpsSize = first + firstSize, 2 + 4*12 + 4
	const text = gps + gpsSize
	where := uint32(text + len(camera))
	tiff := append([]byte("MM\x00*\x00\x00\x00\x08"), directory(entry(tagMake, tiffText, uint32(len(camera)), text), entry(tagOrientation, tiffShort, 1, 6<<16), entry(tagGPS, tiffLong, 1, gps))...)
	tiff = append(tiff, directory(entry(1, tiffText, 2, 'N'<<24), entry(2, tiffRational, 3, where), entry(3, tiffText, 2, 'E'<<24), entry(4, tiffRational, 3, where+24))...)
	tiff = append(append(tiff, camera...), berlin...)
	segment := binary.BigEndian.AppendUint16([]byte{0xff, 0xe1}, uint16(2+6+len(tiff)))
	segment = append(append(segment, "Exif\x00\x00"...), tiff...)
	return append(append(bytes.Clone(photo[:2]), segment...), photo[2:]...)
}

// TestWhereAPictureWasTakenIsNobodysBusiness: what comes as a data URL, as old clients send pictures, is stored without what describes it, and is
// shown as it was.
func TestWhereAPictureWasTakenIsNobodysBusiness(t *testing.T) {
	w := newWorkshop(t)
	plain := media(t)["image/jpeg"].b
	sent := snapshot(plain)
	ready, err := w.prepare(domain.RoleEditor, imageWith(t, dataURL("image/jpeg", sent)))
	if err != nil {
		t.Fatal(err)
	}
	d, _ := assetOf(t, w.log, srcOf(t, ready))
	kept := w.objects.m[d.Key]
	for what, secret := range map[string][]byte{"the camera": camera[:6], "the place": berlin[:8], "its minutes": berlin[16:24]} {
		if !bytes.Contains(sent, secret) || bytes.Contains(kept, secret) {
			t.Errorf("%s is in what is kept", what)
		}
	}
	if sum := sha256.Sum256(kept); d.SHA256 != hex.EncodeToString(sum[:]) || d.Size != int64(len(kept)) {
		t.Errorf("%+v is not of the %d bytes that are kept", d, len(kept))
	}
	if !bytes.Contains(kept, entry(tagOrientation, tiffShort, 1, 6<<16)) || d.Width != 17 || d.Height != 31 {
		t.Errorf("it is turned no more: %d × %d", d.Width, d.Height)
	}
	before, err := jpeg.Decode(bytes.NewReader(plain))
	if err != nil {
		t.Fatal(err)
	}
	after, err := jpeg.Decode(bytes.NewReader(kept))
	if err != nil {
		t.Fatal(err)
	}
	for y := range 17 {
		for x := range 31 {
			if before.At(x, y) != after.At(x, y) {
				t.Fatalf("the pixel at %d, %d is another one", x, y)
			}
		}
	}
	again, err := newPreparer(w).Prepare(context.Background(), "r", domain.Actor{ID: owner}, domain.RoleEditor, []domain.Command{sourcePatch(dataURL("image/jpeg", sent))})
	if err != nil || srcOf(t, again[0]) != srcOf(t, ready) {
		t.Errorf("sent again it is another asset: %v", err)
	}
}
