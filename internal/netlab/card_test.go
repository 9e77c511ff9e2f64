package netlab

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"testing"

	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"
)

// The ends of a veth pair stand for the cards here.
const cardA, cardB = "xs-card-a", "xs-card-b"

// withCards calls f on a thread inside a namespace that has two connected interfaces.
func withCards(t *testing.T, f func() error) {
	t.Helper()
	if _, set, _ := CardsOfEnvironment(); set {
		t.Skip("makes interfaces of its own; the given cards are for other tests")
	}
	home := ForTest(t, Config{Name: "cards"})
	err := home.Stack.Do(func() error {
		cfg := Config{Queues: 2, MTU: 1500}
		if err := netlink.LinkAdd(vethPair(&cfg, cardA, cardB, nil)); err != nil {
			return err
		}
		return f()
	})
	if err != nil {
		t.Fatal(err)
	}
}

// look returns what a lab could have changed of an interface of this thread's namespace.
func look(t *testing.T, name string) (mtu int, channels ethtool.Channels, features map[string]bool) {
	t.Helper()
	link, err := netlink.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	tool, err := ethtool.NewEthtool()
	if err != nil {
		t.Fatal(err)
	}
	defer tool.Close()
	for range featureTries {
		if features, err = tool.Features(name); err == nil && len(features) > 0 {
			break
		}
	}
	if channels, err = tool.GetChannels(name); err != nil {
		t.Fatal(err)
	}
	return link.Attrs().MTU, channels, features
}

func TestCards(t *testing.T) {
	withCards(t, func() error {
		mtu, channels, features := look(t, cardA)
		lab, err := New(Config{Name: "of-cards", Cards: [2]string{cardA, cardB}, BothKernel: true, MTU: 1400})
		if err != nil {
			return err
		}
		defer lab.Close()
		if lab.Veth() || lab.Stack.Interface != cardA || lab.Kernel.Interface != cardB || lab.Stack.Index == 0 {
			t.Errorf("the lab is of %v and %v", lab.Stack, lab.Kernel)
		}
		if err := echoOnce(lab); err != nil {
			t.Error(err)
		}
		if _, err := New(Config{Cards: [2]string{cardA, cardB}}); err == nil || !strings.Contains(err.Error(), "another lab") {
			t.Errorf("a second lab of the same cards: %v", err)
		}
		if err := lab.Close(); err != nil {
			t.Error(err)
		}
		gotMTU, gotChannels, gotFeatures := look(t, cardA)
		if gotMTU != mtu || gotChannels != channels || !maps.Equal(gotFeatures, features) {
			t.Errorf("back with MTU %d, %+v, and features that differ: %v; want MTU %d, %+v", gotMTU, gotChannels,
				!maps.Equal(gotFeatures, features), mtu, channels)
		}
		return nil
	})
}

// echoOnce sends a line from one side's kernel to the other's and back.
func echoOnce(lab *Lab) error {
	ln, err := lab.Stack.Listen("tcp", "10.77.0.2:7000")
	if err != nil {
		return err
	}
	defer ln.Close()
	go func() {
		if c, err := ln.Accept(); err == nil {
			defer c.Close()
			io.Copy(c, c)
		}
	}()
	c, err := lab.Kernel.Dial("tcp", "10.77.0.2:7000")
	if err != nil {
		return err
	}
	defer c.Close()
	b := []byte("over the cards")
	if _, err := c.Write(b); err != nil {
		return err
	}
	if _, err := io.ReadFull(c, b); err != nil || string(b) != "over the cards" {
		return fmt.Errorf("echo: %q, %w", b, err)
	}
	return nil
}

func TestCardErrors(t *testing.T) {
	withCards(t, func() error {
		both := [2]string{cardA, cardB}
		for name, c := range map[string]struct {
			cfg  Config
			want string
			card bool
		}{
			"absent": {Config{Cards: [2]string{cardA, "xs-absent"}}, "xs-absent", false},
			"twice":  {Config{Cards: [2]string{cardA, cardA}}, "two different", false},
			"one":    {Config{Cards: [2]string{cardA, ""}}, "two different", false},
			"hop":    {Config{Cards: both, Hop: true}, "no hop", false},
			"queues": {Config{Cards: both, Queues: 64}, "at most", true},
			"MTU":    {Config{Cards: both, MTU: 1 << 20}, "MTU 1048576", true},
		} {
			lab, err := New(c.cfg)
			if err == nil {
				lab.Close()
				t.Errorf("%s: no error", name)
				continue
			}
			if !strings.Contains(err.Error(), c.want) || errors.Is(err, ErrCard) != c.card {
				t.Errorf("%s: %v, want %q, ErrCard %v", name, err, c.want, c.card)
			}
			for _, card := range both {
				if _, err := netlink.LinkByName(card); err != nil {
					t.Errorf("%s: %s is gone: %v", name, card, err)
				}
			}
		}
		return nil
	})
}

func TestCardsOfEnvironment(t *testing.T) {
	for value, want := range map[string]string{"": "", "a,b": "a b", "a": "error", "a,": "error", "a,b,c": "error"} {
		t.Setenv(CardsVariable, value)
		cards, ok, err := CardsOfEnvironment()
		got := strings.TrimSpace(strings.Join(cards[:], " "))
		if err != nil {
			got = "error"
		}
		if got != want || ok != (want != "" && want != "error") {
			t.Errorf("%q: %q, %v, %v; want %q", value, got, ok, err, want)
		}
	}
}
