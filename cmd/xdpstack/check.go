package main

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/spf13/cobra"

	"github.com/xdpstack/xdpstack/internal/config"
	"github.com/xdpstack/xdpstack/internal/doctor"
)

// checked is what check tells.
type checked struct {
	File     string           `json:"file"`
	OK       bool             `json:"ok"`
	Problems config.Problems  `json:"problems,omitempty"`
	Findings []doctor.Finding `json:"findings,omitempty"` // with --system
}

func newCheck(io streams) *cobra.Command {
	var asJSON, system bool
	cmd := &cobra.Command{
		Use:   "check FILE",
		Short: "Say whether a configuration file is right",
		Long: `Reads a configuration as serve --config does, and says everything that is wrong with it, each with file,
line and column. Nothing is changed, and nothing but the file is looked at; with --system the machine is,
too: whether the interface is there and can run xdpstack, whether the kernel has the addresses, whether
directories and ports of the kernel that are used can be. It says what "xdpstack doctor -i" says besides.

The exit code is 1 if serve would not start.`,
		Example: "  xdpstack check /etc/xdpstack/eth0.toml\n  sudo xdpstack check --system /etc/xdpstack/eth0.toml\n" +
			"  xdpstack check --json eth0.toml | jq '.problems[] | .line'",
		Args: exactly(1, "the file"),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return []string{"toml"}, cobra.ShellCompDirectiveFilterFileExt
		},
		RunE: func(_ *cobra.Command, args []string) error {
			d, err := config.Load(args[0])
			if err != nil {
				return err
			}
			c := checked{File: args[0]}
			if err := d.Check(); err != nil && !errors.As(err, &c.Problems) {
				return err
			}
			if system && len(c.Problems) == 0 {
				c.Findings = systemFindings(&d.Config)
			}
			c.OK = len(c.Problems) == 0 && doctor.Worst(c.Findings) != doctor.Fail
			return c.show(io, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	cmd.Flags().BoolVar(&system, "system", false, "look at the machine as well")
	return cmd
}

func (c *checked) show(io streams, asJSON bool) error {
	switch {
	case asJSON:
		if err := writeJSON(io.out, c); err != nil {
			return err
		}
	case len(c.Problems) > 0:
		fmt.Fprintln(io.err, c.Problems)
	default:
		if len(c.Findings) > 0 {
			printFindings(io, c.Findings)
		}
		if c.OK {
			fmt.Fprintf(io.out, "%s is right\n", c.File)
		}
	}
	if !c.OK {
		return errReported
	}
	return nil
}

// systemFindings looks at the machine that a configuration is for.
func systemFindings(c *config.Config) []doctor.Finding {
	out := append(doctor.Machine(), doctor.Interface(c.Interface)...)
	st := c.Stack()
	addresses := doctor.Finding{Subject: "addresses", Level: doctor.OK, Fact: "the kernel has none of them"}
	if err := st.CheckKernel(); err != nil {
		addresses.Level, addresses.Fact = doctor.Fail, err.Error()
	}
	out = append(out, addresses)
	for i := range c.Service {
		if root := c.Service[i].Root; root != "" {
			out = append(out, judgeRoot(root))
		}
	}
	if at := c.Web.Listener().Address; at != "" {
		out = append(out, judgeWeb(at))
	}
	return out
}

func judgeRoot(root string) doctor.Finding {
	f := doctor.Finding{Subject: root, Level: doctor.OK, Fact: "a directory that can be read"}
	dir, err := os.OpenRoot(root)
	if err != nil {
		f.Level, f.Fact, f.Cure = doctor.Fail, err.Error(), "make it, or name another as the root of http"
		return f
	}
	if err := dir.Close(); err != nil {
		f.Level, f.Fact = doctor.Warn, err.Error()
	}
	return f
}

// judgeWeb tries whether the web site's port is free. A process that runs already with this configuration has it.
func judgeWeb(at string) doctor.Finding {
	f := doctor.Finding{Subject: "web " + at, Level: doctor.OK, Fact: "free"}
	if _, _, err := net.SplitHostPort(at); err != nil {
		at = net.JoinHostPort("127.0.0.1", at)
	}
	l, err := net.Listen("tcp", at)
	if err != nil {
		f.Level, f.Fact, f.Cure = doctor.Warn, err.Error(), "no harm if the process that this configures has it; else choose another"
		return f
	}
	_ = l.Close() // nobody has connected
	return f
}
