package main

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/xdpstack/xdpstack/bpf"
)

// cleaned is what clean tells.
type cleaned struct {
	Interface string `json:"interface"`
	Removed   bool   `json:"removed"`
}

func newClean(io streams) *cobra.Command {
	var iface string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "clean -i IFACE",
		Short: "Remove the XDP program that a killed process has left pinned",
		Long: `A process that was started with --crash pin, and then killed, leaves its XDP program on the interface,
where it passes everything to the kernel until the next such process takes its place. This removes it,
where there is to be no next one. The program of a process that runs stays.`,
		Example: "  sudo xdpstack clean -i eth0",
		Args:    exactly(0, ""),
		RunE: func(*cobra.Command, []string) error {
			if iface == "" || filepath.Base(iface) != iface {
				return usagef("which interface? give -i IFACE")
			}
			found, err := bpf.Unpin(filepath.Join(bpf.PinDir, iface))
			if errors.Is(err, bpf.ErrPinned) {
				return fmt.Errorf("%s: %w: stop it first: xdpstack stop", iface, bpf.ErrPinned)
			}
			switch {
			case err != nil:
				return err
			case asJSON:
				return writeJSON(io.out, cleaned{iface, found})
			case found:
				fmt.Fprintf(io.out, "the pinned program of %s is removed\n", iface)
			default:
				fmt.Fprintf(io.out, "nothing is pinned for %s\n", iface)
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&iface, "interface", "i", "", "network interface (required)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	if err := cmd.RegisterFlagCompletionFunc("interface", completeInterface); err != nil {
		panic(err)
	}
	return cmd
}
