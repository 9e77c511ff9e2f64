package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/xdpstack/xdpstack/internal/report"
)

func newReport(io streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "report",
		Short: "Show, merge and compare the results of generators",
		Long: `Works on the files that generators write with --json. They hold whole histograms, so that those of several
workers can be put together without loss.`,
		Example: "  xdpstack report show run.json\n" +
			"  xdpstack report merge worker-*.json -o all.json --html all.html --expect 'p99<5ms'\n" +
			"  xdpstack report compare before.json after.json",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown command %q: there are show, merge and compare", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newReportShow(io), newReportMerge(io), newReportCompare(io))
	return cmd
}

// reportOutput are the flags of the commands that end with one result.
type reportOutput struct {
	json, hdr, html string
	asJSON          bool
	expect          []string
}

func (o *reportOutput) register(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.asJSON, "json", false, "write the result as JSON, instead of the summary")
	cmd.Flags().StringVar(&o.hdr, "hdr", "", "write an HdrHistogram log to a file")
	cmd.Flags().StringVar(&o.html, "html", "", "write a page with charts")
	cmd.Flags().StringArrayVar(&o.expect, "expect", nil, "exit with 1 unless this holds: p99<5ms,errors<0.1%")
}

// write does what the flags say with a result.
func (o *reportOutput) write(io streams, r *report.Result) error {
	var expectations []report.Expectation
	for _, text := range o.expect {
		more, err := report.ParseExpectations(text, r.Vocabulary())
		if err != nil {
			return usagef("--expect: %w", err)
		}
		expectations = append(expectations, more...)
	}
	if len(expectations) > 0 { // else those that it was written with stay
		report.CheckAll(expectations, r)
	}
	verdicts := io.out
	if o.asJSON {
		verdicts = io.err
		if err := r.Write(io.out); err != nil {
			return err
		}
	} else {
		showResult(io.out, r)
	}
	if err := writeResult(io, r, o.json, o.hdr, o.html); err != nil {
		return err
	}
	if err := showOutcomes(verdicts, r.Outcomes); len(expectations) > 0 {
		return err
	}
	return nil
}

func newReportShow(io streams) *cobra.Command {
	var o reportOutput
	cmd := &cobra.Command{
		Use:   "show FILE",
		Short: "Show a result: percentiles, errors, counters",
		Example: "  xdpstack report show run.json\n" +
			"  xdpstack report show run.json --html run.html --expect 'p99<5ms,errors<0.1%'",
		Args:              exactly(1, "the result file"),
		ValidArgsFunction: completeJSON,
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := report.ReadFile(args[0])
			if err != nil {
				return err
			}
			return o.write(io, r)
		},
	}
	o.register(cmd)
	return cmd
}

func completeJSON(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return []string{"json"}, cobra.ShellCompDirectiveFilterFileExt
}

func newReportMerge(io streams) *cobra.Command {
	var o reportOutput
	cmd := &cobra.Command{
		Use:   "merge FILE|DIRECTORY...",
		Short: "Put the results of workers that ran together into one",
		Long: `Adds counters and histograms, and aligns the series by the second of wall time. Files that are not of one
run are refused: of other tools or another setup, of the same worker, of other times. Workers whose
files are missing are named, and the exit code is 1 if --complete is given. A directory stands for the
.json files in it.`,
		Example: "  xdpstack report merge worker-*.json -o all.json\n" +
			"  xdpstack report merge worker-*.json --html all.html --complete",
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: completeJSON,
	}
	complete := cmd.Flags().Bool("complete", false, "fail if a worker is missing")
	cmd.Flags().StringVarP(&o.json, "output", "o", "", "write the merged result to a file")
	o.register(cmd)
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usagef("the result files are missing")
		}
		r, err := mergeFiles(args)
		if err != nil {
			return err
		}
		missing := r.Missing()
		if len(missing) > 0 {
			fmt.Fprintf(io.err, "%d of %d workers: the results of %v are missing\n", len(r.Of), r.Workers, missing)
		}
		err = o.write(io, r)
		if err == nil && *complete && len(missing) > 0 {
			return errReported
		}
		return err
	}
	return cmd
}

// mergeFiles puts files together. An error names the file that does not fit.
func mergeFiles(names []string) (*report.Result, error) {
	names, err := insideDirectories(names)
	if err != nil {
		return nil, err
	}
	var all *report.Result
	for _, name := range names {
		r, err := report.ReadFile(name)
		if err != nil {
			return nil, err
		}
		if all == nil {
			all = r
		} else if all, err = report.Merge(all, r); err != nil {
			return nil, fmt.Errorf("%s, after %s: %w", name, names[0], err)
		}
	}
	return all, nil
}

// insideDirectories puts the .json files of a directory in its place.
func insideDirectories(names []string) (all []string, err error) {
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			all = append(all, name)
			continue
		}
		found, err := filepath.Glob(filepath.Join(name, "*.json"))
		if err != nil || len(found) == 0 {
			return nil, fmt.Errorf("%s: no .json file is in it (%w)", name, errors.Join(err, fs.ErrNotExist))
		}
		all = append(all, found...)
	}
	return all, nil
}

func newReportCompare(io streams) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "compare A B",
		Short: "Compare two results",
		Long: `Shows what B measured beside what A did: rate, errors, percentiles, processor time, with the change in per cent.
Two runs tell nothing about how much such figures vary by themselves.`,
		Example:           "  xdpstack report compare before.json after.json",
		Args:              exactly(2, "a result file"),
		ValidArgsFunction: completeJSON,
		RunE: func(_ *cobra.Command, args []string) error {
			a, errA := report.ReadFile(args[0])
			b, errB := report.ReadFile(args[1])
			if err := errors.Join(errA, errB); err != nil {
				return err
			}
			comparison, err := report.Compare(a, b)
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(io.out, comparison)
			}
			showComparison(io, args, comparison)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return cmd
}

func showComparison(io streams, names []string, c *report.Comparison) {
	for _, d := range c.Differs {
		fmt.Fprintf(io.out, "note: %s\n", d)
	}
	t := newTable(io.out, table.Row{"", names[0], names[1], "change"}, 2, 3, 4)
	format := func(l report.Compared, v float64) string {
		switch l.Unit {
		case "s":
			return report.FormatDuration(time.Duration(v * 1e9))
		case "%":
			return fmt.Sprintf("%.4g%%", v)
		}
		return report.FormatCount(v) + l.Unit
	}
	for _, l := range c.Lines {
		change := "-"
		if l.A != 0 {
			change = fmt.Sprintf("%+.1f%%", (l.B/l.A-1)*100)
		}
		t.AppendRow(table.Row{l.Name, format(l, l.A), format(l, l.B), change})
	}
	t.Render()
}
