package metrics

import (
	"reflect"
	"strconv"
)

// Metric is one number.
type Metric struct {
	Name  string `json:"name"`
	Help  string `json:"help,omitempty"`
	Value uint64 `json:"value"`
	Gauge bool   `json:"gauge,omitempty"` // a state that goes up and down, not a count of events
}

// Walk calls f with each metric of stats, a struct or a pointer to one, in the order of its fields. The prefix is put before the
// names, with an underscore, unless it is empty.
func Walk(prefix string, stats any, f func(Metric)) {
	walk(prefix, field{}, reflect.ValueOf(stats), f)
}

// field is what the tags around a value say.
type field struct {
	help  string
	gauge bool
}

func walk(name string, tags field, v reflect.Value, f func(Metric)) {
	switch v.Kind() {
	case reflect.Uint64:
		f(Metric{Name: name, Help: tags.help, Value: v.Uint(), Gauge: tags.gauge})
	case reflect.Pointer:
		if !v.IsNil() && v.Type().Elem().Kind() == reflect.Struct {
			walk(name, tags, v.Elem(), f)
		}
	case reflect.Array, reflect.Slice:
		if !counts(v.Type().Elem()) {
			return
		}
		for i := range v.Len() {
			walk(join(name, strconv.Itoa(i)), tags, v.Index(i), f)
		}
	case reflect.Struct:
		t := v.Type()
		if t == histogramType {
			return
		}
		for i := range t.NumField() {
			sf := t.Field(i)
			if !sf.IsExported() {
				continue
			}
			inner := name
			if !sf.Anonymous {
				inner = join(name, SnakeCase(sf.Name))
			}
			walk(inner, tagsOf(sf), v.Field(i), f)
		}
	}
}

func tagsOf(sf reflect.StructField) field {
	return field{help: sf.Tag.Get("help"), gauge: sf.Tag.Get("kind") == "gauge"}
}

// counts reports whether values of a type can hold metrics.
func counts(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Uint64, reflect.Struct:
		return true
	case reflect.Pointer:
		return t.Elem().Kind() == reflect.Struct
	case reflect.Array, reflect.Slice:
		return counts(t.Elem())
	}
	return false
}

func join(prefix, name string) string {
	if prefix == "" || name == "" {
		return prefix + name
	}
	return prefix + "_" + name
}
