package main

import (
	"net"
	"strings"

	"github.com/spf13/cobra"
)

// completeInterface offers the machine's interfaces.
func completeInterface(_ *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
	all, _ := net.Interfaces() // no offer is better than an error in the middle of a line
	var names []string
	for _, i := range all {
		if i.Flags&net.FlagLoopback == 0 && strings.HasPrefix(i.Name, prefix) {
			names = append(names, i.Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
