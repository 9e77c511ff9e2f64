package config

import (
	"encoding"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// leaf is a setting: a field of Config or of Service that is no table.
type leaf struct {
	key   string // with those of the tables that it is in
	flag  string
	live  bool // a change is taken over at run time
	index []int
}

var (
	leaves        = collect(reflect.TypeFor[Config](), "", nil, false)
	serviceLeaves = collect(reflect.TypeFor[Service](), "", nil, true)
)

// collect lists the settings of a table. Tables of which there may be many are left out.
func collect(t reflect.Type, prefix string, index []int, live bool) (all []leaf) {
	for i := range t.NumField() {
		f := t.Field(i)
		at := append(append([]int(nil), index...), i)
		now := (live || f.Tag.Get("reload") == "now") && f.Tag.Get("reload") != "restart"
		switch key := prefix + f.Tag.Get("toml"); {
		case isTable(f.Type):
			all = append(all, collect(f.Type, key+".", at, now)...)
		case isTables(f.Type):
		default:
			all = append(all, leaf{key: key, flag: f.Tag.Get("flag"), live: now, index: at})
		}
	}
	return all
}

func (f *leaf) value(table any) reflect.Value {
	return reflect.ValueOf(table).Elem().FieldByIndex(f.index)
}

// isTable reports whether a type is a table of the file. A struct that is read from text, such as an address, is none.
func isTable(t reflect.Type) bool { return t.Kind() == reflect.Struct && !isText(t) }

// isTables reports whether a type is an array of tables.
func isTables(t reflect.Type) bool { return t.Kind() == reflect.Slice && isTable(t.Elem()) }

var durationType = reflect.TypeFor[time.Duration]()

// isText reports whether values of a type are written as strings.
func isText(t reflect.Type) bool {
	return t == durationType || t.Kind() == reflect.String || reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// setText gives a setting, or an element of one that is a list, a value that is written out.
func setText(v reflect.Value, text string) error {
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		err := u.UnmarshalText([]byte(text))
		switch v.Type() { // whose own errors are of Go's functions
		case reflect.TypeFor[netip.Prefix]():
			err = reword(err, "want an address with its prefix length, such as 192.0.2.10/24")
		case reflect.TypeFor[netip.Addr]():
			err = reword(err, "want an address, such as 192.0.2.1")
		case reflect.TypeFor[slog.Level]():
			err = reword(err, "want debug, info, warn or error")
		}
		return err
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("want true or false")
		}
		v.SetBool(b)
	case reflect.Int, reflect.Int64:
		return setInt(v, text)
	case reflect.Uint64:
		n, err := strconv.ParseUint(text, 0, 64)
		if err != nil {
			return fmt.Errorf("want a number from 0 up")
		}
		v.SetUint(n)
	case reflect.Uint16:
		n, err := strconv.ParseUint(text, 0, 16)
		if err != nil {
			return fmt.Errorf("want a number from 0 to 65535")
		}
		v.SetUint(n)
	default:
		panic(fmt.Sprintf("config: fields of type %v cannot be set", v.Type())) // a mistake in Config, which any test finds
	}
	return nil
}

func reword(err error, text string) error {
	if err == nil {
		return nil
	}
	return errors.New(text)
}

func setInt(v reflect.Value, text string) error {
	if v.Type() == durationType {
		d, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("want a time with its unit, such as 50us, 10ms or 30s")
		}
		v.SetInt(int64(d))
		return nil
	}
	n, err := strconv.ParseInt(text, 0, 64)
	if err != nil || v.OverflowInt(n) {
		return fmt.Errorf("the number is out of range")
	}
	v.SetInt(n)
	return nil
}

// override gives a setting the value of a flag.
func (d *Document) override(f leaf, key string, v reflect.Value, flag string, values []string) {
	d.set[key] = origin{flag: flag, text: strings.Join(values, ",")}
	v.SetZero()
	if v.Kind() == reflect.Slice {
		v.Set(reflect.MakeSlice(v.Type(), len(values), len(values)))
		for i, text := range values {
			if err := setText(v.Index(i), text); err != nil {
				d.problem(key, "%v", err)
			}
		}
		return
	}
	if err := setText(v, values[0]); err != nil {
		d.problem(key, "%v", err)
	}
}
