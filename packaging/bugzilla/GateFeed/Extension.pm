# This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0. If a copy of the MPL was not
# distributed with this file, You can obtain one at https://mozilla.org/MPL/2.0/.

package Bugzilla::Extension::GateFeed;

# Tells a push gate of every change that may matter to it, numbered within the change's own transaction; refuses uplift
# approvals of sensitive bugs that have no security approval; and shows on the pages that such an approval is missing.

use 5.14.0;
use strict;
use warnings;

use parent qw(Bugzilla::Extension);

use Bugzilla::Error;
use Bugzilla::Extension::GateFeed::Approval;
use Bugzilla::Extension::GateFeed::Feed;
use Bugzilla::Extension::GateFeed::State;

our $VERSION = '1.0';

# Fields of a bug that selectors look at, or that move it to other groups or flag types.
my %TOLD = map { $_ => 1 } qw(keywords bug_status resolution bug_group product component dup_id);

# What, renamed or removed, changes the meaning of bugs that nobody touched.
my @NAMES = qw(Bugzilla::Keyword Bugzilla::FlagType Bugzilla::Group);

# --- the tables -------------------------------------------------------------------------------------------------------

sub db_schema_abstract_schema {
  my ($self, $args) = @_;
  my %schema = Bugzilla::Extension::GateFeed::Feed::schema();
  $args->{schema}->{$_} = $schema{$_} foreach keys %schema;
}

sub install_update_db {
  Bugzilla::Extension::GateFeed::Feed::begin();
}

sub config_add_panels {
  my ($self, $args) = @_;
  $args->{panel_modules}->{GateFeed} = 'Bugzilla::Extension::GateFeed::Params';
}

# --- changes: each hook runs within the transaction of the change -----------------------------------------------------

sub bug_end_of_create {
  my ($self, $args) = @_;
  _ring($args->{bug}->id, 'create');
}

sub bug_end_of_update {
  my ($self, $args) = @_;
  my $changes = $args->{changes};
  my @fields = grep { $TOLD{$_} || /^cf_(?:status|tracking)_/ } sort keys %$changes;
  return unless @fields;
  my @granted = grep { /^cf_tracking_/ && ($changes->{$_}->[1] // '') eq '+' } @fields;
  _veto($args->{bug}->id, $_) foreach @granted;
  _ring($args->{bug}->id, "bug:@fields");
}

sub flag_end_of_update {
  my ($self, $args) = @_;
  my ($object, $before, $after) = @$args{qw(object old_flags new_flags)};
  return if join("\0", sort @$before) eq join("\0", sort @$after);
  my $bug_id = $object->isa('Bugzilla::Bug') ? $object->id : $object->bug_id;
  foreach my $flag (Bugzilla::Extension::GateFeed::Approval::granted($before, $after)) {
    _veto($bug_id, $flag) if Bugzilla::Extension::GateFeed::Approval::is_uplift($flag);
  }
  _ring($bug_id, 'flag');
}

sub object_end_of_create {
  my ($self, $args) = @_;
  my $object = $args->{object};
  _ring($object->bug_id, 'attach') if $object->isa('Bugzilla::Attachment');
}

sub object_end_of_update {
  my ($self, $args) = @_;
  my ($object, $changes) = @$args{qw(object changes)};
  if ($object->isa('Bugzilla::Attachment')) {
    _ring($object->bug_id, 'attach') if grep {/^(?:isobsolete|ispatch|isprivate|mimetype)$/} keys %$changes;
  }
  elsif (_is_name($object)) {
    _ring(0, 'resync:' . ref $object) if keys %$changes;
  }
}

sub object_before_delete {
  my ($self, $args) = @_;
  my $object = $args->{object};
  if    ($object->isa('Bugzilla::Bug'))        { _ring($object->id,     'delete') }
  elsif ($object->isa('Bugzilla::Attachment')) { _ring($object->bug_id, 'attach') }
  elsif (_is_name($object))                    { _ring(0, 'resync:delete ' . ref $object) }
}

sub _is_name {
  my ($object) = @_;
  return scalar grep { $object->isa($_) } @NAMES;
}

sub _ring {
  my ($bug_id, $why) = @_;
  Bugzilla::Extension::GateFeed::Feed::ring($bug_id, $why);
}

# Throws, and so undoes the whole change, if the bug is sensitive and nobody has approved its landing.
sub _veto {
  my ($bug_id, $flag) = @_;
  my $state = Bugzilla::Extension::GateFeed::State::of($bug_id) or return;
  return unless Bugzilla::Extension::GateFeed::Approval::is_missing($state);
  ThrowUserError('gatefeed_uplift_vetoed',
    {bug_id => $bug_id, flag => $flag, approval => Bugzilla::Extension::GateFeed::Approval::flag()});
}

# --- pages ------------------------------------------------------------------------------------------------------------

# The templates of the bug page and of the attachment form ask `gatefeed_missing` for what they show.
sub template_before_process {
  my ($self, $args) = @_;
  return unless $args->{file} =~ m{^(?:bug/edit|attachment/create)\.html\.tmpl$};
  my $vars = $args->{vars};
  my $bug = $vars->{bug} || ($vars->{bugs} || [])->[0] or return;
  return if !$bug->id || $bug->{error};
  my $state = Bugzilla::Extension::GateFeed::State::of($bug->id) or return;
  return unless Bugzilla::Extension::GateFeed::Approval::is_missing($state);
  $vars->{gatefeed_missing} = {
    approval => Bugzilla::Extension::GateFeed::Approval::flag(),
    keywords => [Bugzilla::Extension::GateFeed::Approval::sensitive_keywords($state)],
    asked    => Bugzilla::Extension::GateFeed::Approval::is_asked($state),
  };
}

# --- the web service --------------------------------------------------------------------------------------------------

sub webservice {
  my ($self, $args) = @_;
  $args->{dispatch}->{GateFeed} = 'Bugzilla::Extension::GateFeed::WebService';
}

sub webservice_rest_resources {
  my ($self, $args) = @_;
  $args->{resources}->{'Bugzilla::Extension::GateFeed::WebService'} = [
    qr{^/gatefeed$},          {GET => {method => 'feed'}},
    qr{^/gatefeed/snapshot$}, {GET => {method => 'snapshot'}},
  ];
}

__PACKAGE__->NAME;
