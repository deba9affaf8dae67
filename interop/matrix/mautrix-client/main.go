// The program mautrix-client walks with mautrix-go, without encryption: it says of each step on a line how it went, `ok NAME`
// or `not ok NAME: why`. Two people walk at a time and wait for each other by what they see in their rooms alone.
package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"os"
	"slices"
	"sync"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

var (
	ctx    = context.Background()
	url    = os.Getenv("MARU_URL")
	user   = id.UserID(os.Getenv("MARU_USER"))
	peer   = id.UserID(os.Getenv("MARU_PEER"))
	client *mautrix.Client
	direct id.RoomID
	group  id.RoomID
	first  id.EventID
	png, _ = base64.StdEncoding.DecodeString(
		"iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==")
)

// seen holds every event of the syncs, in their order.
var seen struct {
	sync.Mutex
	events []*event.Event
}

// find is an event of the syncs for which the test holds, or nil.
func find(test func(*event.Event) bool) *event.Event {
	seen.Lock()
	defer seen.Unlock()
	if at := slices.IndexFunc(seen.events, test); at >= 0 {
		return seen.events[at]
	}
	return nil
}

// sees waits for an event of the group.
func sees(what string, test func(*event.Event) bool) (found *event.Event, err error) {
	err = until(what, func() bool {
		found = find(func(it *event.Event) bool { return it.RoomID == group && test(it) })
		return found != nil
	})
	return found, err
}

func says(body string) func(*event.Event) bool {
	return func(it *event.Event) bool {
		return it.Type == event.EventMessage && it.Content.AsMessage().Body == body
	}
}

func member(of id.UserID, membership event.Membership) func(*event.Event) bool {
	return func(it *event.Event) bool {
		return it.Type == event.StateMember && it.GetStateKey() == of.String() &&
			it.Content.AsMember().Membership == membership
	}
}

func send(content *event.MessageEventContent) (id.EventID, error) {
	sent, err := client.SendMessageEvent(ctx, group, event.EventMessage, content)
	if err != nil {
		return "", err
	}
	return sent.EventID, nil
}

func discover() error {
	var err error
	if client, err = mautrix.NewClient(url, "", ""); err != nil {
		return err
	}
	versions, err := client.Versions(ctx)
	if err != nil {
		return err
	}
	if err := expect(len(versions.Versions) > 0, versions); err != nil {
		return err
	}
	flows, err := client.GetLoginFlows(ctx)
	if err != nil {
		return err
	}
	return expect(flows.HasFlow(mautrix.AuthTypePassword), flows)
}

func signIn() error {
	ask := &mautrix.ReqLogin{
		Type:             mautrix.AuthTypePassword,
		Identifier:       mautrix.UserIdentifier{Type: mautrix.IdentifierTypeUser, User: user.String()},
		Password:         os.Getenv("MARU_PASSWORD"),
		StoreCredentials: true,
	}
	if _, err := client.Login(ctx, ask); err != nil {
		return err
	}
	syncer := client.Syncer.(*mautrix.DefaultSyncer)
	syncer.OnEvent(func(_ context.Context, it *event.Event) {
		seen.Lock()
		defer seen.Unlock()
		seen.events = append(seen.events, it)
	})
	go func() { _ = client.Sync() }()
	who, err := client.Whoami(ctx)
	if err != nil {
		return err
	}
	return expect(who.UserID == user, who)
}

func create(ask *mautrix.ReqCreateRoom, made *id.RoomID) error {
	ask.Invite = []id.UserID{peer}
	room, err := client.CreateRoom(ctx, ask)
	if err == nil {
		*made = room.RoomID
	}
	return err
}

func invited() error {
	return until("two invitations", func() bool {
		seen.Lock()
		defer seen.Unlock()
		for _, it := range seen.events {
			if it.Type == event.StateRoomName && it.Content.AsRoomName().Name == room {
				group = it.RoomID
			}
		}
		for _, it := range seen.events {
			if member(user, event.MembershipInvite)(it) && it.Sender == peer && it.RoomID != group {
				direct = it.RoomID
			}
		}
		return group != "" && direct != "" && direct != group
	})
}

func join() error {
	for _, room := range []id.RoomID{direct, group} {
		if _, err := client.JoinRoomByID(ctx, room); err != nil {
			return err
		}
	}
	_, err := sees("the room", member(user, event.MembershipJoin))
	return err
}

func joined() error {
	if _, err := sees("the guest", member(peer, event.MembershipJoin)); err != nil {
		return err
	}
	members, err := client.JoinedMembers(ctx, group)
	if err != nil {
		return err
	}
	return expect(len(members.Joined) == 2, members)
}

func edit() error {
	content := &event.MessageEventContent{MsgType: event.MsgText, Body: edited}
	content.SetEdit(first)
	_, err := send(content)
	return err
}

func readEdit() error {
	found, err := sees("the edit", func(it *event.Event) bool {
		return it.Type == event.EventMessage && it.Content.AsMessage().RelatesTo.GetReplaceID() != ""
	})
	if err != nil {
		return err
	}
	new := found.Content.AsMessage().NewContent
	return expect(new != nil && new.Body == edited, found)
}

func reply() error {
	content := &event.MessageEventContent{MsgType: event.MsgText, Body: answer}
	content.RelatesTo = (&event.RelatesTo{}).SetReplyTo(first)
	_, err := send(content)
	return err
}

func reactionAndReply() error {
	_, err := sees("the reaction", func(it *event.Event) bool {
		return it.Type == event.EventReaction && it.Content.AsReaction().RelatesTo.Key == emoji
	})
	if err != nil {
		return err
	}
	found, err := sees("the reply", says(answer))
	if err != nil {
		return err
	}
	return expect(found.Content.AsMessage().RelatesTo.GetReplyTo() == first, found)
}

func readReceipt() error {
	_, err := sees("the receipt", func(it *event.Event) bool {
		if it.Type != event.EphemeralEventReceipt {
			return false
		}
		of := (*it.Content.AsReceipt())[first]
		_, found := of[event.ReceiptTypeRead][peer]
		return found
	})
	return err
}

func seesTyping() error {
	_, err := sees("typing", func(it *event.Event) bool {
		return it.Type == event.EphemeralEventTyping && slices.Contains(it.Content.AsTyping().UserIDs, peer)
	})
	return err
}

func image() error {
	uploaded, err := client.UploadBytes(ctx, png, "image/png")
	if err != nil {
		return err
	}
	_, err = send(&event.MessageEventContent{
		MsgType: event.MsgImage, Body: "dot.png", URL: uploaded.ContentURI.CUString(),
		Info: &event.FileInfo{MimeType: "image/png", Size: len(png)},
	})
	return err
}

func seeImage() error {
	found, err := sees("the picture", func(it *event.Event) bool {
		return it.Type == event.EventMessage && it.Content.AsMessage().MsgType == event.MsgImage
	})
	if err != nil {
		return err
	}
	uri, err := found.Content.AsMessage().URL.Parse()
	if err != nil {
		return err
	}
	file, err := client.DownloadBytes(ctx, uri)
	if err != nil {
		return err
	}
	return expect(bytes.Equal(file, png), "another picture")
}

func seeName() error {
	_, err := sees("the name", func(it *event.Event) bool {
		return it.Type == event.StateRoomName && it.Content.AsRoomName().Name == renamed
	})
	return err
}

func tag() error {
	if err := client.AddTag(ctx, group, event.RoomTagFavourite, 0.5); err != nil {
		return err
	}
	_, err := sees("the tag", func(it *event.Event) bool { return it.Type == event.AccountDataRoomTags })
	return err
}

func accountData() error {
	type data struct {
		Steps int `json:"steps"`
	}
	if err := client.SetAccountData(ctx, "org.example.walk", data{Steps: 1}); err != nil {
		return err
	}
	var found data
	if err := client.GetAccountData(ctx, "org.example.walk", &found); err != nil {
		return err
	}
	return expect(found.Steps == 1, found)
}

func seeRedaction() error {
	_, err := sees("the redaction", func(it *event.Event) bool { return it.Type == event.EventRedaction })
	if err != nil {
		return err
	}
	found, err := client.GetEvent(ctx, group, first)
	if err != nil {
		return err
	}
	if err := expect(len(found.Content.Raw) == 0, found.Content.Raw); err != nil {
		return err
	}
	_, err = send(&event.MessageEventContent{MsgType: event.MsgText, Body: bye})
	return err
}

func paginate() error {
	if _, err := sees("the last text", says(bye)); err != nil {
		return err
	}
	var found []*event.Event
	from := ""
	for range 20 {
		page, err := client.Messages(ctx, group, from, "", mautrix.DirectionBackward, nil, 5)
		if err != nil {
			return err
		}
		found = append(found, page.Chunk...)
		if from = page.End; from == "" || len(page.Chunk) == 0 {
			break
		}
	}
	ids := map[id.EventID]bool{}
	for _, it := range found {
		ids[it.ID] = true
	}
	if err := expect(len(ids) == len(found), "an event comes twice"); err != nil {
		return err
	}
	last := found[len(found)-1]
	return expect(last.Type == event.StateCreate, last.Type)
}

func signOut() error {
	client.StopSync()
	token := client.AccessToken
	if _, err := client.Logout(ctx); err != nil {
		return err
	}
	gone, err := mautrix.NewClient(url, user, token)
	if err != nil {
		return err
	}
	_, err = gone.Whoami(ctx)
	return expect(errors.Is(err, mautrix.MUnknownToken), err)
}

func main() {
	say := func(body string) func() error {
		return func() (err error) {
			first, err = send(&event.MessageEventContent{MsgType: event.MsgText, Body: body})
			return err
		}
	}
	walk([]step{
		{"discover", "both", discover},
		{"sign_in", "both", signIn},
		{"direct_chat", "host", func() error {
			return create(&mautrix.ReqCreateRoom{IsDirect: true, Preset: "trusted_private_chat"}, &direct)
		}},
		{"group", "host", func() error {
			return create(&mautrix.ReqCreateRoom{Name: room, Topic: "food", Preset: "private_chat"}, &group)
		}},
		{"invited", "guest", invited},
		{"join", "guest", join},
		{"joined", "host", joined},
		{"text", "host", say(text)},
		{"read_text", "guest", func() error {
			found, err := sees("the text", says(text))
			if err == nil {
				first = found.ID
			}
			return err
		}},
		{"edit", "host", edit},
		{"read_edit", "guest", readEdit},
		{"react", "guest", func() error {
			_, err := client.SendReaction(ctx, group, first, emoji)
			return err
		}},
		{"reply", "guest", reply},
		{"reaction_and_reply", "host", reactionAndReply},
		{"receipt", "guest", func() error { return client.MarkRead(ctx, group, first) }},
		{"read_receipt", "host", readReceipt},
		{"typing", "guest", func() error {
			_, err := client.UserTyping(ctx, group, true, 30*time.Second)
			return err
		}},
		{"sees_typing", "host", seesTyping},
		{"image", "host", image},
		{"see_image", "guest", seeImage},
		{"rename", "host", func() error {
			_, err := client.SendStateEvent(ctx, group, event.StateRoomName, "", map[string]string{"name": renamed})
			return err
		}},
		{"see_name", "guest", seeName},
		{"tag", "host", tag},
		{"account_data", "host", accountData},
		{"redact", "host", func() error {
			_, err := client.RedactEvent(ctx, group, first)
			return err
		}},
		{"see_redaction", "guest", seeRedaction},
		{"paginate", "both", paginate},
		{"sign_out", "both", signOut},
	})
}
