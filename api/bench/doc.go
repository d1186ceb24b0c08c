// Package bench measures a running `kanvas serve` from outside, as its clients see it, and a bare floor in the same run:
// a broadcaster on the same socket library with one writer per client, no logic and nothing stored (floor.go), and raw
// write+fsync on the same disk (disk.go). Figures are ratios against the floor where the machine's speed would decide otherwise.
//
// Server and load are pinned to a core each where there are two, so that one's work does not count as the other's.
package bench
