package main

import (
	"net/netip"

	"github.com/spf13/cobra"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/internal/permit"
)

// permitFlags say what a generator may be aimed at.
type permitFlags struct {
	allow  string
	insist bool
}

func (f *permitFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.allow, "allow", "", "networks that may be targets beside the interface's own: 198.51.100.0/24,203.0.113.9")
	cmd.Flags().BoolVar(&f.insist, "i-own-this-network", false, "any target will do: the network is mine, or I am asked to load it")
}

// check refuses targets that are neither on a network of the interface, nor on one of the generator's own addresses there, nor
// allowed by the flags.
func (f *permitFlags) check(iface string, own []netip.Prefix, targets ...netip.Prefix) error {
	allow, err := permit.ParseAllow(f.allow)
	if err != nil {
		return usagef("--allow: %w", err)
	}
	info, err := afxdp.Discover(iface)
	if err != nil {
		return err
	}
	rules := permit.Rules{Own: append(info.Addresses, own...), Allow: allow, Insist: f.insist}
	if err := rules.Check(targets...); err != nil {
		return usageError{err}
	}
	return nil
}
