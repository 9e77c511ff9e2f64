package pkt

import (
	"encoding"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/xdpstack/xdpstack/tcp"
)

// settings are what the options at the top of a script say.
type settings struct {
	tcp       tcp.Config
	listener  tcp.ListenerConfig
	iss, irs  uint32 // initial sequence numbers: the stack's if it opens at time 0, and the peer's number 0
	tolerance time.Duration
	mtu       uint16
	budget    uint32        // bytes that all windows together may promise
	tick      time.Duration // of the stack's timestamps; 0: their values are not checked
}

// newSettings takes the options. Both sequence spaces wrap soon after they begin unless an option says otherwise, for that has
// to work in every script.
func newSettings(sc *Script) (*settings, error) {
	o := &settings{iss: math.MaxUint32 - 2000, irs: math.MaxUint32 - 1000, tolerance: time.Millisecond, mtu: 1500, budget: 8 << 20}
	for _, opt := range sc.options {
		if err := o.set(opt.name, opt.value); err != nil {
			return nil, &Error{File: sc.Name, Line: opt.line, Text: fmt.Sprintf("--%s=%s: %v", opt.name, opt.value, err)}
		}
	}
	return o, nil
}

// set takes one option: those of the runner by name, all others as fields of tcp.Config.
func (o *settings) set(name, text string) error {
	switch name {
	case "ip_version":
		if text != "ipv4" {
			return fmt.Errorf("only ipv4 is supported")
		}
		return nil
	case "tolerance_usecs":
		return setMicroseconds(&o.tolerance, text)
	case "tcp_ts_tick_usecs":
		return setMicroseconds(&o.tick, text)
	case "mtu":
		return setField(reflect.ValueOf(&o.mtu).Elem(), text)
	case "iss":
		return setField(reflect.ValueOf(&o.iss).Elem(), text)
	case "irs":
		return setField(reflect.ValueOf(&o.irs).Elem(), text)
	case "receive_budget":
		return setField(reflect.ValueOf(&o.budget).Elem(), text)
	case "syn_backlog":
		return setField(reflect.ValueOf(&o.listener.SynBacklog).Elem(), text)
	case "syn_cookies":
		mode, ok := map[string]tcp.CookieMode{"auto": tcp.CookiesAuto, "always": tcp.CookiesAlways, "never": tcp.CookiesNever}[text]
		if !ok {
			return fmt.Errorf("must be auto, always or never")
		}
		o.listener.Cookies = mode
		return nil
	}
	return SetOption(&o.tcp, name, text)
}

// SetOption sets the field of a configuration whose name in snake case is name, from a text as scripts have it.
func SetOption(cfg *tcp.Config, name, text string) error {
	if f := findField(reflect.ValueOf(cfg).Elem(), "", name); f.IsValid() {
		return setField(f, text)
	}
	return fmt.Errorf("no such option of the runner and no such field of tcp.Config")
}

func setMicroseconds(d *time.Duration, text string) error {
	n, err := strconv.Atoi(text)
	*d = time.Duration(n) * time.Microsecond
	return err
}

// findField returns the exported field whose name in snake case is name; fields of nested structs have the outer name in front.
func findField(v reflect.Value, prefix, name string) reflect.Value {
	for i := range v.NumField() {
		t := v.Type().Field(i)
		snake := prefix + snakeCase(t.Name)
		switch {
		case !t.IsExported():
		case t.Type.Kind() == reflect.Struct:
			if f := findField(v.Field(i), snake+"_", name); f.IsValid() {
				return f
			}
		case snake == name:
			return v.Field(i)
		}
	}
	return reflect.Value{}
}

// snakeCase turns MinRTO into min_rto and SYNRetries into syn_retries.
func snakeCase(name string) string {
	var b strings.Builder
	r := []rune(name)
	for i, c := range r {
		lowerNear := i > 0 && (unicode.IsLower(r[i-1]) || unicode.IsDigit(r[i-1]) || i+1 < len(r) && unicode.IsLower(r[i+1]))
		if unicode.IsUpper(c) && lowerNear {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(c))
	}
	return b.String()
}

// setField gives a field the value of a text: durations as Go writes them, a bool without a text is true.
func setField(f reflect.Value, text string) error {
	if f.Type() == reflect.TypeFor[time.Duration]() {
		d, err := time.ParseDuration(text)
		f.SetInt(int64(d))
		return err
	}
	if u, ok := f.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	switch f.Kind() {
	case reflect.Bool:
		if text == "" {
			text = "true"
		}
		b, err := strconv.ParseBool(text)
		f.SetBool(b)
		return err
	case reflect.String:
		f.SetString(text)
		return nil
	case reflect.Int, reflect.Int64:
		n, err := strconv.ParseInt(text, 0, f.Type().Bits())
		f.SetInt(n)
		return err
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		n, err := strconv.ParseUint(text, 0, f.Type().Bits())
		f.SetUint(n)
		return err
	}
	return fmt.Errorf("a field of type %v cannot be set by a script", f.Type())
}
