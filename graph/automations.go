package graph

import (
	"switchboard/graph/model"
	"switchboard/internal/message"
)

func mergeField(f message.FieldInfo) *model.MergeField {
	return &model.MergeField{Path: f.Path, Description: f.Description}
}

func templateFilter(f *model.MessageTemplateFilter) message.TemplateFilter {
	if f == nil {
		return message.TemplateFilter{}
	}
	return message.TemplateFilter{
		Kind: given(f.Kind), Purpose: given(f.Purpose), RecordKind: given(f.RecordKind), Search: given(f.Search), WithArchived: given(f.IsArchived),
	}
}
