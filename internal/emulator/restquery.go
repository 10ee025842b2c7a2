package emulator

import (
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// systemParameters mean something to every Google API and nothing to this one.
var systemParameters = [...]string{"alt", "access_token", "callback", "fields", "key", "oauth_token", "prettyPrint", "quotaUser"}

// decodeQuery puts query parameters, in camel or snake case, into the fields of a request.
func decodeQuery(req proto.Message, query url.Values) error {
	fields := req.ProtoReflect().Descriptor().Fields()
	for key, values := range query {
		if strings.HasPrefix(key, "$") || slices.Contains(systemParameters[:], key) {
			continue
		}
		field := fields.ByJSONName(key)
		if field == nil {
			field = fields.ByName(protoreflect.Name(key))
		}
		if field == nil || len(values) != 1 {
			return status.Errorf(codes.InvalidArgument, "Invalid query parameter received. Unknown or repeated name %q.", key)
		}
		value, err := scalar(field.Kind(), values[0])
		if err != nil {
			return status.Errorf(codes.InvalidArgument, "Invalid value at '%s': %q", field.Name(), values[0])
		}
		req.ProtoReflect().Set(field, value)
	}
	return nil
}

// scalar reads the kinds of parameters that the API has.
func scalar(kind protoreflect.Kind, text string) (protoreflect.Value, error) {
	switch kind {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(text), nil
	case protoreflect.BoolKind:
		b, err := strconv.ParseBool(text)
		return protoreflect.ValueOfBool(b), err
	case protoreflect.Int32Kind:
		n, err := strconv.ParseInt(text, 10, 32)
		return protoreflect.ValueOfInt32(int32(n)), err
	}
	return protoreflect.Value{}, strconv.ErrSyntax
}

// quote writes a JSON string.
func quote(s string) []byte {
	b, _ := json.Marshal(s) // a string always encodes
	return b
}
