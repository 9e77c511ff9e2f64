package main

import (
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/xdpstack/xdpstack/internal/doctor"
)

func newDoctor(io streams) *cobra.Command {
	var iface string
	var asJSON bool
	var during time.Duration
	cmd := &cobra.Command{
		Use:   "doctor [-i IFACE]",
		Short: "Say whether this machine, and an interface of it, can run xdpstack",
		Long: `Looks at the kernel, the privileges and the memory limits, and with -i at an interface: its driver,
queues, XDP and zero-copy support, offloads. Each finding comes with one line of what to do about it.
Nothing is changed. The exit code is 1 if something makes xdpstack impossible.

With --count-copies the kernel counts for that time how many packets it copies between its memory and that
of AF_XDP sockets, while a stack runs on the interface: with zero-copy, none.`,
		Example: "  xdpstack doctor\n  sudo xdpstack doctor -i eth0\n  sudo xdpstack doctor -i eth0 --count-copies 2s\n" +
			"  xdpstack doctor --json | jq '.[] | select(.level == \"fail\")'",
		Args: exactly(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if during != 0 && (iface == "" || during < 0) {
				return usagef("--count-copies is for an interface (-i) and some time, such as 2s")
			}
			findings := doctor.Machine()
			if iface != "" {
				findings = append(findings, doctor.Interface(iface)...)
			}
			if during != 0 {
				findings = append(findings, doctor.Copies(iface, during))
			}
			if asJSON {
				if err := writeJSON(io.out, findings); err != nil {
					return err
				}
			} else {
				printFindings(io, findings)
			}
			if doctor.Worst(findings) == doctor.Fail {
				return errReported
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&iface, "interface", "i", "", "network interface to look at")
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	cmd.Flags().DurationVar(&during, "count-copies", 0, "count for so long how many packets the kernel copies (default: do not)")
	if err := cmd.RegisterFlagCompletionFunc("interface", completeInterface); err != nil {
		panic(err)
	}
	return cmd
}

func printFindings(io streams, findings []doctor.Finding) {
	t := newTable(io.out, nil)
	for _, f := range findings {
		t.AppendRow(table.Row{string(f.Level), f.Subject, f.Fact})
		if f.Cure != "" {
			t.AppendRow(table.Row{"", "", "→ " + f.Cure})
		}
	}
	t.Render()
}
