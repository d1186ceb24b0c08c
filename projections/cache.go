package projections

// Caches is told of what was applied.
type Caches struct{}

func (c *Caches) applied([]*change) {}
