package afxdp

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"

	"github.com/xdpstack/xdpstack/internal/netlab"
)

// TestBelow finds the interface below a VLAN's, and refuses it while that takes the tags off.
func TestBelow(t *testing.T) {
	l := ownLab(t, netlab.Config{Name: "below"})
	device := l.Stack.Interface
	below := func(name string) (found string, vlan uint16, err error) {
		_ = l.Stack.Do(func() error { found, vlan, err = Below(name); return nil })
		return found, vlan, err
	}
	for _, name := range []string{device, "xs-nowhere"} {
		if found, vlan, err := below(name); found != name || vlan != 0 || err != nil {
			t.Errorf("%s: %s, %d, %v", name, found, vlan, err)
		}
	}
	v := &netlink.Vlan{LinkAttrs: netlink.LinkAttrs{Name: "xs-v7", ParentIndex: l.Stack.Index}, VlanId: 7}
	err := l.Stack.Do(func() error { return netlink.LinkAdd(v) })
	if errors.Is(err, syscall.EOPNOTSUPP) {
		t.Skipf("needs a kernel with VLANs (8021q): %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Stack.Do(func() error { return netlink.LinkDel(v) }) })
	for _, on := range []bool{false, true} {
		if err := l.Stack.SetFeatures(on, "rx-vlan-hw-parse"); err != nil {
			t.Logf("rx-vlan-offload %v: %v", on, err)
		}
		found, vlan, err := below("xs-v7")
		switch {
		case !l.Veth() && hasFeature(t, l.Stack, "rx-vlan-hw-parse"):
			if !errors.Is(err, ErrTagsOff) || !strings.Contains(err.Error(), "ethtool -K "+device+" rxvlan off") {
				t.Errorf("the device takes tags off: %v", err)
			}
		case found != device || vlan != 7 || err != nil:
			t.Errorf("%s, %d, %v", found, vlan, err)
		}
	}
}

// hasFeature reports whether a feature of a side's interface is on.
func hasFeature(t *testing.T, side *netlab.Side, name string) (on bool) {
	t.Helper()
	err := side.Do(func() error {
		e, err := ethtool.NewEthtool()
		if err != nil {
			return err
		}
		defer e.Close()
		for range featureTries {
			features, err := e.Features(side.Interface)
			if on = features[name]; err != nil || len(features) > 0 {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return on
}
