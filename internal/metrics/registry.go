package metrics

import (
	"errors"
	"fmt"
	"sync"
)

// Registry is the set of counters of a process. The zero Registry is empty and ready. It is safe for concurrent use.
type Registry struct {
	mu      sync.Mutex
	sources []*source
}

type source struct {
	prefix   string
	snapshot func() (any, error)
}

// Register adds a source of metrics: snapshot returns a struct of counters that nobody changes any more, and prefix is put before
// their names. The returned function takes the source out again.
func (r *Registry) Register(prefix string, snapshot func() (any, error)) (unregister func()) {
	s := &source{prefix, snapshot}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sources = append(r.sources, s)
	return func() { r.remove(s) }
}

func (r *Registry) remove(s *source) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, other := range r.sources {
		if other == s {
			r.sources = append(r.sources[:i:i], r.sources[i+1:]...)
			return
		}
	}
}

// Collect returns the metrics of all sources, in the order in which they were registered. A source that fails is left out; the
// error names it.
func (r *Registry) Collect() ([]Metric, error) {
	r.mu.Lock()
	sources := r.sources[:len(r.sources):len(r.sources)]
	r.mu.Unlock()
	var all []Metric
	var errs []error
	for _, s := range sources {
		stats, err := s.snapshot()
		if err != nil {
			errs = append(errs, fmt.Errorf("metrics of %q: %w", s.prefix, err))
			continue
		}
		Walk(s.prefix, stats, func(m Metric) { all = append(all, m) })
	}
	return all, errors.Join(errs...)
}
