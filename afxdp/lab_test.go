package afxdp

import (
	"errors"
	"testing"

	"github.com/xdpstack/xdpstack/internal/netlab"
)

// kept is the lab of cards that tests with the same configuration share, one after the other: getting the links of new ones takes
// seconds.
var kept struct {
	lab *netlab.Lab
	cfg netlab.Config
}

// dropLab ends the lab that is kept. TestMain calls it at the end.
func dropLab() error {
	if kept.lab == nil {
		return nil
	}
	lab := kept.lab
	kept.lab = nil
	return lab.Close()
}

// labFor is netlab.ForTest, but cards may be a lab that another test has used, and left as it was.
func labFor(t testing.TB, cfg netlab.Config) *netlab.Lab {
	t.Helper()
	cards, ok, err := netlab.CardsOfEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	if !ok || cfg.Hop {
		return ownLab(t, cfg)
	}
	if kept.lab != nil && kept.cfg == cfg {
		return kept.lab
	}
	if err := dropLab(); err != nil {
		t.Fatal(err)
	}
	kept.cfg = cfg
	cfg.Cards = cards
	lab, err := netlab.New(cfg)
	if errors.Is(err, netlab.ErrCard) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	kept.lab = lab
	return lab
}

// ownLab is netlab.ForTest for a test that leaves its lab in another state.
func ownLab(t testing.TB, cfg netlab.Config) *netlab.Lab {
	t.Helper()
	if err := dropLab(); err != nil {
		t.Fatal(err)
	}
	return netlab.ForTest(t, cfg)
}
