package main

import (
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/xdpstack/xdpstack/internal/doctor"
)

func newDoctor(io streams) *cobra.Command {
	var iface string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor [-i IFACE]",
		Short: "Say whether this machine, and an interface of it, can run xdpstack",
		Long: `Looks at the kernel, the privileges and the memory limits, and with -i at an interface: its driver,
queues, XDP and zero-copy support, offloads. Each finding comes with one line of what to do about it.
Nothing is changed. The exit code is 1 if something makes xdpstack impossible.`,
		Example: "  xdpstack doctor\n  sudo xdpstack doctor -i eth0\n  xdpstack doctor --json | jq '.[] | select(.level == \"fail\")'",
		Args:    exactly(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			findings := doctor.Machine()
			if iface != "" {
				findings = append(findings, doctor.Interface(iface)...)
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
