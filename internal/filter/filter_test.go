package filter

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/xdpstack/xdpstack/bpf"
)

// program is a bpf.Program without a kernel.
type program struct {
	mu    sync.Mutex
	rules map[netip.Prefix]bpf.Rule
	rates bpf.Rates
}

func (p *program) SetRule(r bpf.Rule) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules[r.Prefix] = r
	return nil
}

func (p *program) RemoveRule(x netip.Prefix) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.rules[x]
	delete(p.rules, x)
	return ok, nil
}

func (p *program) ReplaceRules(all []bpf.Rule) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.rules)
	for _, r := range all {
		p.rules[r.Prefix] = r
	}
	return nil
}

func (p *program) Rules() (all []bpf.Rule, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.rules {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b bpf.Rule) int { return a.Prefix.Compare(b.Prefix) })
	return all, nil
}

func (p *program) SetRates(r bpf.Rates) error            { p.rates = r; return nil }
func (p *program) Offenders(int) ([]bpf.Offender, error) { return nil, nil }

// fresh makes a filter; peers are the stack's, kernel the kernel's.
func fresh(t *testing.T, peers, kernel string) (*Filter, *program) {
	p := &program{rules: map[netip.Prefix]bpf.Rule{}}
	list := func(text string) func() ([]netip.Addr, error) {
		return func() (all []netip.Addr, err error) {
			for _, a := range strings.Fields(text) {
				all = append(all, netip.MustParseAddr(a))
			}
			return all, nil
		}
	}
	f := New(p, list(peers), list(kernel))
	t.Cleanup(f.Close)
	return f, p
}

func rulesOf(t *testing.T, text string) []Rule {
	t.Helper()
	l, err := ParseList(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return l.Rules
}

func TestChange(t *testing.T) {
	f, p := fresh(t, "192.0.2.1 192.0.2.2 198.51.100.1", "")
	out, err := f.Change(Change{Rules: rulesOf(t, "deny 192.0.2.0/24\nallow 192.0.2.2")})
	if err != nil || out.Rules != 2 || out.Cut != 1 {
		t.Errorf("%+v, %v", out, err)
	}
	p.rules[netip.MustParsePrefix("192.0.2.0/24")] = bpf.Rule{Prefix: netip.MustParsePrefix("192.0.2.0/24"), Dropped: 7}
	out, err = f.Change(Change{Remove: []netip.Prefix{netip.MustParsePrefix("192.0.2.2/32"), netip.MustParsePrefix("10.0.0.0/8")}})
	if err != nil || out.Rules != 1 || out.Cut != 1 || len(out.Missing) != 1 {
		t.Errorf("%+v, %v", out, err)
	}
	packed, err := Pack(&List{Rules: rulesOf(t, "deny 192.0.2.0/24\ndeny 203.0.113.0/24"), Rates: Rates{SYNs: Rate{PerSecond: 100}}})
	if err != nil {
		t.Fatal(err)
	}
	if out, err = f.Change(Change{List: packed}); err != nil || out.Rules != 2 || out.Cut != 0 {
		t.Errorf("%+v, %v", out, err)
	}
	s, err := f.State()
	if err != nil || len(s.Rules) != 2 || s.Rules[0].Dropped != 7 || s.Rates.SYNs.PerSecond != 100 || p.rates.SYNs.Burst != 100 {
		t.Errorf("%+v, %v", s, err)
	}
	if out, err = f.Change(Change{Clear: true}); err != nil || out.Rules != 0 || p.rates != (bpf.Rates{}) {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestOperatorIsNotCutOff(t *testing.T) {
	f, p := fresh(t, "", "203.0.113.9")
	me := netip.MustParseAddr("192.0.2.1")
	for name, c := range map[string]Change{
		"SSH":            {Rules: rulesOf(t, "deny 192.0.2.0/24"), Operator: me},
		"all":            {Rules: rulesOf(t, "deny 0.0.0.0/0"), Operator: me},
		"kernel's":       {Rules: rulesOf(t, "deny 203.0.113.0/24")},
		"longest denies": {Rules: rulesOf(t, "allow 192.0.2.0/24\ndeny 192.0.2.1"), Operator: me},
	} {
		if _, err := f.Change(c); !errors.Is(err, ErrCutsOff) || !strings.Contains(err.Error(), "--force") {
			t.Errorf("%s: %v", name, err)
		}
		if len(p.rules) != 0 {
			t.Fatalf("%s: it was made: %v", name, p.rules)
		}
	}
	for name, c := range map[string]Change{
		"others":         {Rules: rulesOf(t, "deny 198.51.100.0/24"), Operator: me},
		"longest allows": {Rules: rulesOf(t, "deny 192.0.2.0/24\nallow 192.0.2.1"), Operator: me},
		"forced":         {Rules: rulesOf(t, "deny 0.0.0.0/0\ndeny 192.0.2.1"), Operator: me, Force: true},
		"denied already": {Rules: rulesOf(t, "deny 192.0.2.0/25"), Operator: me},
	} {
		f, _ := fresh(t, "", "203.0.113.9")
		if name == "denied already" {
			if _, err := f.Change(Change{Rules: rulesOf(t, "deny 192.0.2.0/24"), Force: true}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := f.Change(c); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRuleEnds(t *testing.T) {
	f, p := fresh(t, "", "")
	soon := rulesOf(t, "deny 192.0.2.0/24\ndeny 198.51.100.0/24\ndeny 203.0.113.0/24")
	soon[0].Until = time.Now().Add(50 * time.Millisecond)
	soon[1].Until = time.Now().Add(time.Hour)
	if _, err := f.Change(Change{Rules: soon}); err != nil {
		t.Fatal(err)
	}
	for start := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		s, err := f.State()
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Rules) == 2 && !s.Rules[0].Until.IsZero() && s.Rules[1].Until.IsZero() {
			break
		}
		if time.Since(start) > 5*time.Second {
			t.Fatalf("rules %+v", s.Rules)
		}
	}
	if got, _ := p.Rules(); len(got) != 2 {
		t.Errorf("%v", got)
	}
}

func TestListErrors(t *testing.T) {
	for text, want := range map[string]string{
		"deny 192.0.2.0/24\nblock 10.0.0.0/8": `line 2: filter: "block" is unknown`,
		"deny":                                "line 1: filter: want deny PREFIX",
		"\n# x\ndeny 192.0.2.1/24":            "line 3: filter: 192.0.2.1/24 has bits beyond the prefix: is 192.0.2.0/24 meant, or 192.0.2.1/32?",
		"deny 2001:db8::/32":                  "only IPv4",
		"deny 192.0.2.0/33":                   "no IPv4 address or prefix",
		"deny 192.0.2.1 until noon":           "no time",
		"rate syn 0/s":                        "no rate",
		"rate syn 11M/s":                      "no rate",
		"rate icmp 10/s":                      "there are syn and packets",
		"rate syn 10/s burst x":               "no burst",
		"rate syn":                            "want rate",
	} {
		if _, err := ParseList(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if _, err := Unpack([]byte("garbage")); err == nil {
		t.Error("garbage was unpacked")
	}
}

func TestSettings(t *testing.T) {
	s := Settings{Deny: []string{"192.0.2.0/24"}, Allow: []string{"192.0.2.7"}, SYNRate: "100/s", SYNBurst: 50, Rate: "10k/s"}
	f, p := fresh(t, "", "192.0.2.1")
	if err := f.Apply(&s); err != nil {
		t.Fatal(err)
	}
	want := bpf.Rates{SYNs: bpf.Rate{PerSecond: 100, Burst: 50}, Packets: bpf.Rate{PerSecond: 10000, Burst: 10000}}
	if len(p.rules) != 2 || p.rates != want {
		t.Errorf("%v %+v", p.rules, p.rates)
	}
	for _, bad := range []Settings{{Deny: []string{"x"}}, {Allow: []string{"::/0"}}, {SYNRate: "fast"}, {Burst: 7}} {
		if err := bad.Validate(); err == nil {
			t.Errorf("%+v is valid", bad)
		}
	}
}

func TestEstablishedPeer(t *testing.T) {
	for line, want := range map[string]string{
		"   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000":                            "",
		"   1: 0A4D000A:0016 0102000A:D431 01 00000000:00000000 02:000A7F3D 00000000":                            "10.0.2.1",
		"   2: 0100007F:0016 0100007F:D431 01 00000000:00000000":                                                 "",
		"   3: 0000000000000000FFFF00000A4D000A:0016 0000000000000000FFFF00000102000A:D431 01 00000000:00000000": "10.0.2.1",
		"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid":                      "", "": "", "1: 2 zz:1 01": "",
	} {
		a, ok := establishedPeer(line)
		if ok != (want != "") || ok && a.String() != want {
			t.Errorf("%q: %v, %v", line, a, ok)
		}
	}
}

func FuzzParseList(f *testing.F) {
	f.Add("deny 198.51.100.0/24\nallow 198.51.100.7\nrate syn 100/s burst 200\nrate packets 10k/s\n")
	f.Add("deny 203.0.113.7 until 2027-01-01T00:00:00Z # why")
	f.Add("rate packets off")
	f.Fuzz(func(t *testing.T, text string) {
		l, err := ParseList(strings.NewReader(text))
		if err != nil {
			return
		}
		packed, err := Pack(&l)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Unpack(packed)
		if err != nil || len(again.Rules) != len(l.Rules) || again.Rates != l.Rates {
			t.Errorf("%+v, then %+v, %v", l, again, err)
		}
	})
}

func TestHandover(t *testing.T) {
	old, p := fresh(t, "", "")
	settings := Settings{Deny: []string{"192.0.2.0/24"}}
	if err := old.Apply(&settings); err != nil {
		t.Fatal(err)
	}
	soon := rulesOf(t, "deny 198.51.100.0/24\ndeny 203.0.113.0/24")
	soon[0].Until = time.Now().Add(100 * time.Millisecond)
	if _, err := old.Change(Change{Rules: soon, Rates: &Rates{SYNs: Rate{PerSecond: 7}}}); err != nil {
		t.Fatal(err)
	}
	c, err := old.Leave()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := old.Change(Change{Clear: true}); !errors.Is(err, ErrLeft) {
		t.Errorf("a change after Leave: %v", err)
	}
	young := New(p, old.peers, old.kernelPeers)
	defer young.Close()
	if err := young.TakeOver(c); err != nil {
		t.Fatal(err)
	}
	s, err := young.State()
	if err != nil || len(s.Rules) != 3 || s.Rates.SYNs.PerSecond != 7 || s.Rules[1].Until.Before(soon[0].Until) {
		t.Errorf("%+v, %v", s, err)
	}
	if changed, err := young.ApplyNew(&Settings{Deny: []string{"192.0.2.0/24"}, Allow: []string{}}); changed || err != nil {
		t.Errorf("the same settings: %v, %v", changed, err)
	}
	for start := time.Now(); len(s.Rules) != 2; time.Sleep(10 * time.Millisecond) {
		if s, err = young.State(); err != nil || time.Since(start) > 5*time.Second {
			t.Fatalf("rules %+v, %v", s.Rules, err)
		}
	}
	if changed, err := young.ApplyNew(&Settings{}); !changed || err != nil || len(p.rules) != 0 {
		t.Errorf("other settings: %v, %v, %v", changed, err, p.rules)
	}
	old.Return()
	if _, err := old.Change(Change{Rules: soon}); err != nil {
		t.Errorf("after Return: %v", err)
	}
}
