package addrset

import (
	"math/rand/v2"
	"net/netip"
	"testing"
)

func set(t *testing.T, ranges ...string) Set {
	t.Helper()
	var list []Range
	for _, text := range ranges {
		r, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, r)
	}
	s, err := New(list...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.0.0/24":                "10.0.0.0-10.0.0.255",
		"10.0.0.9/30":                "10.0.0.8-10.0.0.11",
		"0.0.0.0/0":                  "0.0.0.0-255.255.255.255",
		"10.0.0.7":                   "10.0.0.7",
		"10.0.0.7/32":                "10.0.0.7",
		"10.0.0.5-10.0.1.2":          "10.0.0.5-10.0.1.2",
		"10.0.0.5-10.0.0.5":          "10.0.0.5",
		"":                           "",
		"ten":                        "",
		"10.0.0.0/33":                "",
		"2001:db8::/64":              "",
		"2001:db8::1":                "",
		"10.0.0.5-":                  "",
		"10.0.0.5-10.0.0.4":          "",
		"10.0.0.5-2001:db8::1":       "",
		"10.0.0.5-10.0.0.6-10.0.0.7": "",
	} {
		r, err := Parse(text)
		if got := r.String(); err == nil && got != want || (err != nil) != (want == "") {
			t.Errorf("%q: %v, %v; want %s", text, got, err, want)
		}
	}
}

func TestSet(t *testing.T) {
	for _, test := range []struct {
		ranges, without []string
		want            string
		len             int
	}{
		{nil, nil, "", 0},
		{[]string{"10.0.0.0/24"}, nil, "10.0.0.0-10.0.0.255", 256},
		{[]string{"10.0.1.0/24", "10.0.0.0/24"}, nil, "10.0.0.0-10.0.1.255", 512},
		{[]string{"10.0.0.0/16", "10.0.7.0/24", "10.2.0.1"}, nil, "10.0.0.0-10.0.255.255,10.2.0.1", 65537},
		{[]string{"0.0.0.0/0", "10.0.0.1"}, nil, "0.0.0.0-255.255.255.255", 1 << 32},
		{[]string{"10.0.0.0/24"}, []string{"10.0.0.0", "10.0.0.255", "10.0.1.0"}, "10.0.0.1-10.0.0.254", 254},
		{[]string{"10.0.0.0/29"}, []string{"10.0.0.3"}, "10.0.0.0-10.0.0.2,10.0.0.4-10.0.0.7", 7},
		{[]string{"10.0.0.1"}, []string{"10.0.0.1"}, "", 0},
	} {
		s := set(t, test.ranges...)
		for _, a := range test.without {
			s = s.Without(netip.MustParseAddr(a).As4())
		}
		if s.String() != test.want || s.Len() != test.len {
			t.Errorf("%v without %v: %d addresses, %s", test.ranges, test.without, s.Len(), s.String())
		}
	}
}

// TestAgainstMap compares random sets with lists of their addresses.
func TestAgainstMap(t *testing.T) {
	const seed = 7
	random := rand.New(rand.NewPCG(seed, seed))
	for range 200 {
		var ranges []Range
		in := map[[4]byte]bool{}
		for range random.IntN(6) {
			first := 0x0a000000 + random.Uint32N(600)
			last := first + random.Uint32N(100)
			ranges = append(ranges, Range{First: addr(first), Last: addr(last)})
			for n := first; n <= last; n++ {
				in[addr(n).As4()] = true
			}
		}
		s, err := New(ranges...)
		if err != nil {
			t.Fatal(err)
		}
		gone := addr(0x0a000000 + random.Uint32N(600)).As4()
		s = s.Without(gone)
		delete(in, gone)
		i := 0
		for n := uint32(0x0a000000 - 1); n < 0x0a000000+800; n++ {
			a := addr(n).As4()
			if s.Has(a) != in[a] {
				t.Fatalf("%v: has %v: %v; seed %d", ranges, a, s.Has(a), seed)
			}
			if in[a] {
				if s.At(i) != a {
					t.Fatalf("%v: address %d is %v, want %v; seed %d", ranges, i, s.At(i), a, seed)
				}
				i++
			}
		}
		if s.Len() != i {
			t.Fatalf("%v: %d addresses, want %d; seed %d", ranges, s.Len(), i, seed)
		}
		covered := 0
		for _, p := range s.Prefixes() {
			covered += 1 << (32 - p.Bits())
			if first := p.Addr().As4(); p != p.Masked() || !s.Has(first) || !s.Has(FromPrefix(p).Last.As4()) {
				t.Fatalf("%v: prefix %v; seed %d", ranges, p, seed)
			}
		}
		if covered != i {
			t.Fatalf("%v: prefixes have %d addresses, want %d; seed %d", ranges, covered, i, seed)
		}
	}
}

// TestCost proves that a look-up allocates nothing, however many addresses there are.
func TestCost(t *testing.T) {
	s := set(t, "10.0.0.0/16", "10.9.0.0/16")
	found := 0
	if n := testing.AllocsPerRun(100, func() {
		if s.Has([4]byte{10, 9, 3, 4}) && !s.Has([4]byte{10, 3, 3, 4}) {
			found += int(s.At(70_000)[3])
		}
	}); n != 0 || found == 0 {
		t.Errorf("%v allocations, %d", n, found)
	}
}

func BenchmarkHas(b *testing.B) {
	s, _ := New(Range{First: addr(0x0a000000), Last: addr(0x0a00ffff)})
	found := false
	for b.Loop() {
		found = s.Has([4]byte{10, 0, 3, 4})
	}
	if !found {
		b.Fatal("not found")
	}
}

// FuzzParse has a range that is read be one that a set can be made of, and be read again from what it is written as.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"10.0.0.0/24", "10.0.0.5-10.0.0.20", "10.0.0.7", "0.0.0.0/0", "10.0.0.9-10.0.0.8", "::/0", "-", "/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := Parse(text)
		if err != nil {
			return
		}
		s, err := New(r)
		if err != nil || s.Len() == 0 || !s.Has(s.At(0)) || !s.Has(s.At(s.Len()-1)) {
			t.Fatalf("%q: a set of %d addresses, %v", text, s.Len(), err)
		}
		if again, err := Parse(r.String()); err != nil || again.String() != r.String() {
			t.Fatalf("%q is written as %v, which is read as %v, %v", text, r, again, err)
		}
	})
}
