package gen

import "testing"

func TestFindSignature(t *testing.T) {
	s, err := ParseStream("udp,src=10.0.0.1,dst=10.1.0.1,sport=1024,dport=9,size=64")
	if err != nil {
		t.Fatal(err)
	}
	p, err := Compile([]Stream{s}, Options{Worker: 3, Workers: 4})
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 2048)
	for i := range uint32(3) {
		n := p.Next(b, 1000+uint64(i))
		want := Signature{Worker: 3, Sequence: i, Time: 1000 + uint64(i)}
		if got, ok := FindSignature(b[:n]); !ok || got != want {
			t.Errorf("packet %d: got %+v %v, want %+v", i, got, ok, want)
		}
		if got, ok := FindSignature(b[:n+10]); !ok || got != want {
			t.Errorf("packet %d with padding: got %+v %v, want %+v", i, got, ok, want)
		}
		for cut := range n {
			if got, ok := FindSignature(b[:cut]); ok {
				t.Errorf("packet %d cut at %d: got %+v", i, cut, got)
			}
		}
	}
}
