package tcp

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
)

// TestPiecesAreOneSegment has two connections receive the same segments, one of them in pieces: both say the same to the peer, segment
// by segment.
func TestPiecesAreOneSegment(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 8))
		cfg := Config{RecvBuffer: 1 << 20, ECN: ECNOn}
		if seed%3 == 0 {
			cfg.Congestion = "dctcp"
		}
		now := clock.Time(time.Hour)
		var ends [2]*Conn
		for i := range ends {
			k := newHarnessCore(t, 2048, cfg)
			k.BeginBatch(now)
			ends[i] = new(Conn)
			ends[i].Accept(k, &Accepted{
				Flow: flowA, IRS: 99, ISS: 7, RcvWnd: 60000, MSS: 1460, RcvWScale: 5, HasWScale: true, SACKPermitted: true, ECN: true,
			}, nil, now)
		}
		end := 40_000
		for step := 0; step < 40 && ends[0].rare().sackLen < 7; step++ { // With a full list the pieces push out other blocks.
			from := r.IntN(end)
			if r.IntN(2) == 0 {
				from = min(int(ends[0].rcv.nxt-100), end)
			}
			n := min(1+r.IntN(1900), end-from)
			var o OutSegment
			o.Clear()
			o.Seq, o.Ack, o.Flags, o.Window = Seq(100+from), ends[0].snd.una, FlagACK, 60000
			if from+n == end {
				o.Flags |= FlagFIN
			}
			seg := make([]byte, o.HeaderLen()+n)
			fillStream(seg[o.Marshal(seg, flowA.RemotePort, flowA.LocalPort):], from)
			size, mark := 100+r.IntN(500), r.IntN(4) == 0
			inject(ends[0], seg)
			injectPieces(ends[1], seg, size)
			var said [2][]OutSegment
			for i, c := range ends {
				if mark {
					c.core.Pool.Meta(c.in.Front()).Flags |= MetaCE
				}
				for more := true; more; {
					more = c.Process(now)
					var o OutSegment
					for c.Output(now, &o) {
						// The window counts memory, and a D-SACK may be about a piece where the whole was new in part.
						o.Window, o.NumSACK, o.SACK = 0, 0, [len(o.SACK)]SACKBlock{}
						said[i] = append(said[i], o)
					}
				}
				if !c.in.Empty() || !c.core.pieces.Empty() {
					t.Fatalf("seed %d, step %d: frames are left", seed, step)
				}
			}
			a, b := ends[0].rare(), ends[1].rare()
			if len(said[0]) != len(said[1]) || !slices.Equal(a.sackList[:a.sackLen], b.sackList[:b.sackLen]) {
				t.Fatalf("seed %d, step %d: %d bytes at %d in pieces of %d:\nwhole  %v %+v\npieces %v %+v", seed, step, n, from, size,
					a.sackList[:a.sackLen], said[0], b.sackList[:b.sackLen], said[1])
			}
			for i := range said[0] {
				if said[0][i] != said[1][i] {
					t.Fatalf("seed %d, step %d: %d bytes at %d in pieces of %d:\nwhole  %+v\npieces %+v", seed, step, n, from, size,
						said[0][i], said[1][i])
				}
			}
			now = now.Add(time.Duration(r.IntN(60)) * time.Millisecond)
			for _, c := range ends {
				c.core.BeginBatch(now)
				if c.Deadline() <= now {
					c.Expire(now)
				}
			}
		}
		a, b := ends[0].core.Stats, ends[1].core.Stats
		if ends[0].state != ends[1].state || a.CEIn != b.CEIn || a.BytesIn != b.BytesIn || a.SegmentsIn != b.SegmentsIn {
			t.Fatalf("seed %d: whole %v, %+v\npieces %v, %+v", seed, ends[0].state, a, ends[1].state, b)
		}
		for _, c := range ends {
			e := &endpoint{conn: *c, core: c.core}
			e.readAll(t)
			e.conn.Release()
			if err := checkPool(c.core); err != nil {
				t.Fatal(err)
			}
		}
	}
}
