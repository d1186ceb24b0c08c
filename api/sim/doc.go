// Package sim holds the seeded simulation: people on real sockets over the real hub, actors and log, with cut connections,
// commands sent twice, readers that stop reading, and servers that end and come back. It has tests only.
package sim
