package netlab

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
)

// CardsVariable is the environment variable that names two connected interfaces, for example "eth1,eth2": tests then run over these,
// the first on the stack's side, in place of a veth pair.
const CardsVariable = "XDPSTACK_NICS"

// oneAtATime is held while a lab of a test uses the cards, so that parallel tests take turns.
var oneAtATime = make(chan struct{}, 1)

// turnPatience is how long a test waits for the cards before it gives up: it may be waiting for itself.
const turnPatience = 2 * time.Minute

// TB is the part of [testing.TB] that ForTest needs.
type TB interface {
	Helper()
	Skipf(format string, args ...any)
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
	Cleanup(func())
}

// CardsOfEnvironment returns the interfaces that CardsVariable names; ok is false if it names none.
func CardsOfEnvironment() (cards [2]string, ok bool, err error) {
	value := os.Getenv(CardsVariable)
	if value == "" {
		return cards, false, nil
	}
	names := strings.Split(value, ",")
	if len(names) != 2 || names[0] == "" || names[1] == "" {
		return cards, false, fmt.Errorf("netlab: %s=%q: want two interfaces, as in %[1]s=eth1,eth2", CardsVariable, value)
	}
	return [2]string{names[0], names[1]}, true, nil
}

// ForTest makes a lab that ends with the test, over the cards if CardsVariable names some. The test is skipped, with the reason, where
// no lab can be made, or the cards cannot be as cfg says.
func ForTest(t TB, cfg Config) *Lab {
	t.Helper()
	cards, ok, err := CardsOfEnvironment()
	if err != nil {
		t.Fatalf("%v", err)
	}
	if ok {
		return overCards(t, cfg, cards)
	}
	if err := Available(); err != nil {
		t.Skipf("needs a network lab: %v", err)
	}
	return forTest(t, cfg)
}

// ForCards makes a lab over the cards that CardsVariable names. The test is skipped if it names none.
func ForCards(t TB, cfg Config) *Lab {
	t.Helper()
	cards, ok, err := CardsOfEnvironment()
	if err != nil {
		t.Fatalf("%v", err)
	}
	if !ok {
		t.Skipf("needs two connected network cards, named by %s", CardsVariable)
	}
	return overCards(t, cfg, cards)
}

func overCards(t TB, cfg Config, cards [2]string) *Lab {
	t.Helper()
	if cfg.Hop {
		t.Skipf("needs a hop between the two sides, which cards do not have")
	}
	select {
	case oneAtATime <- struct{}{}:
	case <-time.After(turnPatience):
		t.Skipf("needs a second lab at the same time, and there are two cards only")
	}
	t.Cleanup(func() { <-oneAtATime }) // runs after the lab's own
	cfg.Cards = cards
	for _, name := range cards {
		if _, err := netlink.LinkByName(name); err != nil {
			t.Fatalf("%s: card %s: %v", CardsVariable, name, err)
		}
	}
	return forTest(t, cfg)
}

func forTest(t TB, cfg Config) *Lab {
	t.Helper()
	if _, err := Sweep(); err != nil {
		t.Fatalf("%v", err)
	}
	lab, err := New(cfg)
	if errors.Is(err, ErrCard) {
		t.Skipf("%v", err)
	}
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		if err := lab.Close(); err != nil {
			t.Errorf("%v", err)
		}
	})
	return lab
}
