package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// printTable prints a line for each script, and the count of each verdict.
func printTable(out io.Writer, results []result) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	count := map[verdict]int{}
	for _, r := range results {
		count[r.Result]++
		line, _, _ := strings.Cut(r.Message, "\n")
		fmt.Fprintf(w, "%s\t%.2f s\t%s\t%s\n", r.Result, r.Seconds, r.Script, line)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "%d scripts: %d passed, %d failed, %d cannot be played\n",
		len(results), count[pass], count[fail], count[skip])
	return err
}
