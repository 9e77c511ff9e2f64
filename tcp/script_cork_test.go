package tcp

import "testing"

func TestCork(t *testing.T) {
	s := established(t, sends)
	s.c.SetCork(true)
	s.write(300)
	s.wantNothing()
	s.write(800)
	s.want(seg{flags: fA, seq: 1, len: 1000, ack: 1})
	s.wantNothing()
	s.inject(seg{flags: fA, seq: 1, ack: 1001})
	s.wantNothing()
	s.c.SetCork(false)
	s.want(seg{flags: fA, seq: 1001, len: 100, ack: 1})
}

// TestCorkAfterWrite corks when what was written is due already and not pulled yet. It must not wait for ever.
func TestCorkAfterWrite(t *testing.T) {
	s := established(t, scriptOptions{mss: 1000})
	s.write(10)
	s.c.SetCork(true)
	s.wantNothing()
	s.wantTimer(corkTime)
	s.expire()
	s.want(seg{flags: fA, seq: 1, len: 10, ack: 1})
}
