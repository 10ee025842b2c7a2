package emulator

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"strings"

	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	"cloud.google.com/go/run/apiv2/runpb"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
)

// unknownEnum is a number that no enum of the API has.
const unknownEnum = 9_999

// changed gives an answer with what its call's fault says. The true answer may be shared, so it is copied.
func (s *Server) changed(answer proto.Message, p *passage) proto.Message {
	f := p.fault
	if op, ok := answer.(*longrunningpb.Operation); ok && f.DropMetadata {
		answer = &longrunningpb.Operation{Name: op.Name, Done: op.Done, Result: op.Result}
	}
	project := projectOf(p.Name)
	hide := f.HideEnv && strings.HasPrefix(p.Method, "List")
	if !hide && !f.ProjectNumber && !f.UnknownEnum && !f.BadText {
		return answer
	}
	if f.ProjectNumber {
		s.mu.Lock()
		s.projects[projectNumber(project)] = project
		s.mu.Unlock()
	}
	answer = proto.Clone(answer)
	each(answer, func(m proto.Message) {
		if f.ProjectNumber {
			renumber(m.ProtoReflect(), project)
		}
		switch m := m.(type) {
		case *runpb.Container:
			if hide {
				m.Env = nil
			}
		case *runpb.Condition:
			if f.UnknownEnum {
				m.State, m.Reasons = unknownEnum, executionReason(unknownEnum)
			}
			if f.BadText {
				m.Message += spoilMark
			}
		}
	})
	return answer
}

// each calls change for a message and for all messages in it, also those that are packed.
func each(m proto.Message, change func(proto.Message)) {
	if packed, ok := m.(*anypb.Any); ok {
		inner, err := packed.UnmarshalNew()
		if err != nil {
			return // nothing of this API's
		}
		each(inner, change)
		packed.Value = pack(inner).Value
		return
	}
	change(m)
	m.ProtoReflect().Range(func(field protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case field.Message() == nil || field.IsMap():
		case field.IsList():
			for i := range v.List().Len() {
				each(v.List().Get(i).Message().Interface(), change)
			}
		default:
			each(v.Message().Interface(), change)
		}
		return true
	})
}

// renumber puts a project's number into the names in a message's own fields.
func renumber(m protoreflect.Message, project string) {
	m.Range(func(field protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if field.Kind() == protoreflect.StringKind && !field.IsList() && !field.IsMap() {
			if rest, ok := strings.CutPrefix(v.String(), "projects/"+project+"/"); ok {
				m.Set(field, protoreflect.ValueOfString("projects/"+projectNumber(project)+"/"+rest))
			}
		}
		return true
	})
}

// projectOf is the project in a resource's name.
func projectOf(name string) string {
	rest, _ := strings.CutPrefix(name, "projects/")
	project, _, _ := strings.Cut(rest, "/")
	return project
}

// projectNumber is the number of a project, always the same.
func projectNumber(project string) string {
	h := fnv.New64a()
	h.Write([]byte(project))
	return fmt.Sprint(100_000_000_000 + h.Sum64()%900_000_000_000)
}

// knowProject puts the id of a project into a request that names it by a number that was answered before.
func (s *Server) knowProject(req any) {
	number := projectOf(resource(req))
	if number == "" || number[0] < '0' || number[0] > '9' { // an id begins with a letter
		return
	}
	s.mu.Lock()
	project := s.projects[number]
	s.mu.Unlock()
	m, ok := req.(proto.Message)
	if project == "" || !ok {
		return
	}
	for _, name := range []protoreflect.Name{"name", "parent", "resource"} {
		if field := m.ProtoReflect().Descriptor().Fields().ByName(name); field != nil {
			text := m.ProtoReflect().Get(field).String()
			m.ProtoReflect().Set(field, protoreflect.ValueOfString(strings.Replace(text, number, project, 1)))
		}
	}
}

// spoilMark stands in a text that is to become something else than UTF-8. No client ever sees it.
const spoilMark = "(not UTF-8)"

// spoil marks the text of an error, too. The messages of answers are marked already.
func spoil(out outcome) outcome {
	out.spoilt = true
	if out.err != nil {
		st := status.Convert(out.err).Proto()
		st.Message += spoilMark
		out.err = status.ErrorProto(st)
	}
	return out
}

// spoilBytes puts as many bytes that are not UTF-8 in place of each mark, so that lengths before it stay right.
func spoilBytes(encoded []byte) []byte {
	return bytes.ReplaceAll(encoded, []byte(spoilMark), bytes.Repeat([]byte{0xff}, len(spoilMark)))
}

// spoilt is an answer whose marks are replaced once it is encoded: no encoder would write what is not UTF-8.
type spoilt struct{ proto.Message }

// codec is gRPC's own for protobuf, and knows spoilt answers.
type codec struct{ encoding.CodecV2 }

func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	m, ok := v.(spoilt)
	if !ok {
		return c.CodecV2.Marshal(v)
	}
	encoded, err := proto.Marshal(m.Message)
	if err != nil {
		return nil, err
	}
	return mem.BufferSlice{mem.SliceBuffer(spoilBytes(encoded))}, nil
}
