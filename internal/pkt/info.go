package pkt

import (
	"reflect"
	"strings"

	"github.com/xdpstack/xdpstack/tcp"
)

// constants are the names besides tcpi_… that an assertion can use.
var constants = map[string]int64{
	"True": 1, "False": 0,
	"TCP_ESTABLISHED": 1, "TCP_SYN_SENT": 2, "TCP_SYN_RECV": 3, "TCP_FIN_WAIT1": 4, "TCP_FIN_WAIT2": 5, "TCP_TIME_WAIT": 6,
	"TCP_CLOSE": 7, "TCP_CLOSE_WAIT": 8, "TCP_LAST_ACK": 9, "TCP_LISTEN": 10, "TCP_CLOSING": 11,
	"TCP_CA_Open": tcp.CAOpen, "TCP_CA_Disorder": tcp.CADisorder, "TCP_CA_CWR": tcp.CACWR, "TCP_CA_Recovery": tcp.CARecovery,
	"TCP_CA_Loss": tcp.CALoss, "TCP_INFINITE_SSTHRESH": 0x7fffffff,
	"TCPI_OPT_TIMESTAMPS": tcp.OptTimestamps, "TCPI_OPT_SACK": tcp.OptSACK, "TCPI_OPT_WSCALE": tcp.OptWScale,
	"TCPI_OPT_ECN": tcp.OptECN, "TCPI_OPT_ECN_SEEN": tcp.OptECNSeen, "TCPI_OPT_SYN_DATA": tcp.OptSYNData,
}

// infoField returns the field of a tcp.TCPInfo that C calls tcpi_ and the same words with underscores between them.
func infoField(info tcp.TCPInfo, name string) (int64, bool) {
	name, ok := strings.CutPrefix(name, "tcpi_")
	if !ok {
		return 0, false
	}
	v := reflect.ValueOf(info)
	f := v.FieldByNameFunc(func(field string) bool { return strings.EqualFold(field, strings.ReplaceAll(name, "_", "")) })
	switch {
	case !f.IsValid():
		return 0, false
	case f.Kind() != reflect.Bool:
		return int64(f.Uint()), true
	case f.Bool():
		return 1, true
	}
	return 0, true
}
