package observe

import (
	"fmt"
	"strings"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/tcp"
)

// trace keeps the last segments that were seen.
type trace struct {
	lines  [64]line
	n      int
	frozen bool // after the first violation: what led to it is what matters
}

type line struct {
	at   clock.Time
	sent bool // else received
	key  key  // of the end that sent it
	seg  tcp.Segment
}

func (t *trace) add(now clock.Time, sent bool, k key, s *tcp.Segment) {
	if t.frozen {
		return
	}
	t.lines[t.n%len(t.lines)] = line{now, sent, k, *s}
	t.n++
}

// String returns one segment in a line, in the manner of tcpdump with absolute numbers.
func (t *trace) String() string {
	var b strings.Builder
	for i := max(t.n-len(t.lines), 0); i < t.n; i++ {
		l := &t.lines[i%len(t.lines)]
		what := "received"
		if l.sent {
			what = "sent"
		}
		s := &l.seg
		fmt.Fprintf(&b, "%v %v:%d > %v:%d %s [%v] seq %d:%d ack %d win %d", time.Duration(l.at), l.key.addr, l.key.port, l.key.peer,
			l.key.peerPort, what, s.Flags, s.Seq, s.End(), s.Ack, s.Window)
		if s.MSS != 0 {
			fmt.Fprintf(&b, " mss %d", s.MSS)
		}
		if s.HasTS {
			fmt.Fprintf(&b, " TS %d %d", s.TSVal, s.TSEcr)
		}
		for _, k := range s.SACK[:s.NumSACK] {
			fmt.Fprintf(&b, " sack %d:%d", k.Start, k.End)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
