package events

import (
	"strings"
	"testing"
)

func TestValidStreamID(t *testing.T) {
	for _, id := range []string{"a", "Room_1-2:3", strings.Repeat("x", MaxStreamID)} {
		if !ValidStreamID(id) {
			t.Errorf("%q is refused", id)
		}
	}
	for _, id := range []string{"", "a.b", "*", ">", "a/b", "..", "a b", "é", "a\n", strings.Repeat("x", MaxStreamID+1)} {
		if ValidStreamID(id) {
			t.Errorf("%q is accepted", id)
		}
	}
	if s := Room("r1").String(); s != "room/r1" || User("u") != (Stream{KindUser, "u"}) || Asset("a").Kind != KindAsset {
		t.Errorf("streams: %s", s)
	}
}
