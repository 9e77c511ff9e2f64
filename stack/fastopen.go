package stack

// SetFastOpenKey has listeners make TCP Fast Open cookies with a new key of 16 random bytes (see tcp.Config.FastOpen). Those of the last
// key before stay valid, and their owners get new ones: a key that is changed twice within a client's visits costs it a round
// trip. Several stacks that serve one address must have the same keys; a stack begins with a random one.
func (s *Stack) SetFastOpenKey(key [16]byte) error {
	s.mu.Lock()
	s.fastOpenKeys[0], s.fastOpenKeys[1] = key, s.fastOpenKeys[0]
	s.mu.Unlock()
	for _, sh := range s.shards {
		if !sh.call(func(sh *Shard) { sh.core.SetFastOpenKey(key) }) {
			return errClosed
		}
	}
	return nil
}
