package ipv4

import "testing"

func TestFragmentAt(t *testing.T) {
	for _, n := range []int{1, 8, 1480, 1481, 1488, 3008, 65515} {
		for _, mtu := range []int{0, 68, 576, 1499, 1500, 9000, 1 << 20} {
			r := newReassembly(t, ReassemblerConfig{MaxFragments: 2000})
			h := whole
			h.DF = true
			count := 0
			for off := 0; off < n; {
				fh, part := h.FragmentAt(off, n, mtu)
				if part <= 0 || int(fh.TotalLen) > max(mtu, MinMTU) || fh.PayloadLen() != part || int(fh.FragOffset) != off || fh.DF {
					t.Fatalf("%d bytes at MTU %d: %d bytes at %d in %+v", n, mtu, part, off, fh)
				}
				p := fragment(fh, off, off+part, fh.MF)
				off += part
				count++
				if count == 1 && off == n {
					if fh.IsFragment() {
						t.Fatalf("%d bytes at MTU %d: %+v", n, mtu, fh)
					}
					break
				}
				if d := r.input(p); off == n {
					r.wantWhole(d, n)
				}
			}
			if room := max(mtu, MinMTU) - MinHeaderLen; n <= room != (count == 1) {
				t.Errorf("%d bytes at MTU %d in %d fragments", n, mtu, count)
			}
		}
	}
}

func TestFragmentAtRefuses(t *testing.T) {
	for _, tt := range []struct{ off, length int }{{-8, 100}, {4, 100}, {104, 100}, {100, 100}, {0, 0}, {0, MaxLen}} {
		if _, n := whole.FragmentAt(tt.off, tt.length, 1500); n != 0 {
			t.Errorf("%d of %d: a fragment of %d bytes", tt.off, tt.length, n)
		}
	}
}
