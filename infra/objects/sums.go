package objects

import (
	"crypto/sha256"
	"hash"
	"sync"
)

// sums are the SHA-256 of uploads that come in parts, each as far as its parts came in order: these need not be read again for the sum of all. They
// are gone with the process; then all is read.
type sums struct {
	mu sync.Mutex
	of map[string]*prefix // by the upload's key
}

// prefix is the sum of an upload's first parts.
type prefix struct {
	parts  int // that are in it
	sum    hash.Cloner
	adding bool // part parts+1
}

// addition is a part on its way into a prefix.
type addition struct {
	of   *sums
	to   *prefix
	part int
	hash.Hash
}

func (s *sums) prefix(key string) *prefix {
	p := s.of[key]
	if p == nil {
		p = &prefix{sum: sha256.New().(hash.Cloner)}
		s.of[key] = p
	}
	return p
}

// rewrite says that a part is about to be written, and returns where its bytes are to be added as they come; nil where parts before it are missing.
// A sum that had the part is of no use any more, and who adds it just now does so in vain.
func (s *sums) rewrite(key string, part int) (*addition, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.prefix(key)
	if part <= p.parts || p.adding && part == p.parts+1 {
		delete(s.of, key)
		p = s.prefix(key)
	}
	if part != p.parts+1 {
		return nil, nil
	}
	return s.add(p)
}

// next returns the addition of the part that is missing first; nil where somebody adds it already.
func (s *sums) next(key string) (*addition, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.prefix(key)
	if p.adding {
		return nil, nil
	}
	return s.add(p)
}

func (s *sums) add(p *prefix) (*addition, error) {
	sum, err := p.sum.Clone()
	if err != nil {
		return nil, err
	}
	p.adding = true
	return &addition{s, p, p.parts + 1, sum}, nil
}

// end says whether all of the part was added.
func (a *addition) end(whole bool) {
	a.of.mu.Lock()
	defer a.of.mu.Unlock()
	a.to.adding = false
	if whole {
		a.to.parts, a.to.sum = a.part, a.Hash.(hash.Cloner)
	}
}

func (s *sums) drop(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.of, key)
}
