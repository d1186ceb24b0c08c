package realtime

import "testing"

func TestLargeFramesOfAnAddressWaitForEachOther(t *testing.T) {
	l := DefaultLimits()
	g := newGate(&l)
	never := make(chan struct{})
	for range bigFramesPerAddress {
		if !g.enterBig("a", never) {
			t.Fatal("refused below the bound")
		}
	}
	closed := make(chan struct{})
	close(closed)
	if g.enterBig("a", closed) {
		t.Fatal("one more than the bound")
	}
	if !g.enterBig("b", never) {
		t.Fatal("another address waits for the first one's frames")
	}
	entered := make(chan bool, 1)
	go func() { entered <- g.enterBig("a", never) }()
	g.leaveBig("a")
	if !<-entered {
		t.Fatal("no place after one was given back")
	}
	for range bigFramesPerAddress {
		g.leaveBig("a")
	}
	g.leaveBig("b")
	if g.big != 0 || len(g.bigs) != 0 {
		t.Fatalf("%d places of %v are lost", g.big, g.bigs)
	}
}

func TestLargeFramesOfAllAreBounded(t *testing.T) {
	l := DefaultLimits()
	g := newGate(&l)
	never, closed := make(chan struct{}), make(chan struct{})
	close(closed)
	for i := range bigFrames {
		if !g.enterBig(string(rune('a'+i)), never) {
			t.Fatal("refused below the bound")
		}
	}
	if g.enterBig("more", closed) {
		t.Fatal("one more than the bound")
	}
}
