package main

import "github.com/infinite-kanvas/kanvas/infra/pictures"

// shrinking is what this program is started with again to make smaller pictures, in a process of its own.
const shrinking = "shrink-pictures"

// shrinker starts that process when it is needed: the very program that runs, also where its file was replaced meanwhile.
func (n *node) shrinker() *pictures.Worker {
	return pictures.NewWorker([]string{"/proc/self/exe", shrinking}, n.logger)
}
