# This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0. If a copy of the MPL was not
# distributed with this file, You can obtain one at https://mozilla.org/MPL/2.0/.

package Bugzilla::Extension::GateFeed::WebService;

# GET /rest/gatefeed?since=N and GET /rest/gatefeed/snapshot?after=BUG, for the members of one group.

use 5.14.0;
use strict;
use warnings;

use parent qw(Bugzilla::WebService);

use Bugzilla;
use Bugzilla::Constants;
use Bugzilla::Error;
use Bugzilla::Extension::GateFeed::Approval;
use Bugzilla::Extension::GateFeed::Feed;
use Bugzilla::Extension::GateFeed::State;

use constant READ_ONLY      => qw(feed snapshot);
use constant PUBLIC_METHODS => qw(feed snapshot);

use constant MAX_NUMBER => 2_147_483_647;

# Returns the events after `since` with the state of each of their bugs, now or later than the event.
sub feed {
  my ($self, $params) = @_;
  _authorize();
  my $since = _number($params, 'since', 0, MAX_NUMBER);
  my $limit = _limit($params);
  # The head is read before the events: an event that commits in between is told and not announced, which loses nothing.
  my ($epoch, $head, $floor) = Bugzilla::Extension::GateFeed::Feed::standing();
  my $rows = Bugzilla::Extension::GateFeed::Feed::after($since, $limit);
  my @events = map {
    {
      seq => $self->type('int', $_->{seq}),
      bug => $self->type('int', $_->{bug_id}),
      why => $self->type('string', $_->{why}),
      at  => $self->type('string', $_->{at}),
    }
  } @$rows;
  return {%{$self->_standing($epoch, $head, $floor)}, events => \@events, state => $self->_states(map { $_->{bug_id} } @$rows)};
}

# Returns the bugs after `after` that have a keyword of `keywords` (a list by commas; left out: the installation's) or,
# with `private=1`, that not everybody may see. `next` is the number to go on after, 0 when that was all.
sub snapshot {
  my ($self, $params) = @_;
  _authorize();
  my $after = _number($params, 'after', 0, MAX_NUMBER);
  my $limit = _limit($params);
  my $private = _number($params, 'private', 0, 1);
  my @keywords
    = defined $params->{keywords}
    ? grep {length} split(/[\s,]+/, $params->{keywords})
    : Bugzilla::Extension::GateFeed::Approval::keywords();
  # The head comes first: whatever changes while the pages are read has a greater number and is told again.
  my ($epoch, $head, $floor) = Bugzilla::Extension::GateFeed::Feed::standing();
  my $ids = Bugzilla::Extension::GateFeed::Feed::listed($after, \@keywords, $private, $limit);
  my $next = @$ids == $limit ? $ids->[-1] : 0;
  return {%{$self->_standing($epoch, $head, $floor)}, state => $self->_states(@$ids), next => $self->type('int', $next)};
}

sub _standing {
  my ($self, $epoch, $head, $floor) = @_;
  return {
    epoch => $self->type('string', $epoch),
    head  => $self->type('int', $head),
    floor => $self->type('int', $floor),
  };
}

sub _states {
  my ($self, @ids) = @_;
  my %states;
  foreach my $id (@ids) {
    next if !$id || $states{$id};
    my $state = Bugzilla::Extension::GateFeed::State::of($id);
    $states{$id} = $state ? $self->_typed($state) : {gone => $self->type('boolean', 1)};
  }
  return \%states;
}

sub _typed {
  my ($self, $state) = @_;
  foreach my $patch (@{$state->{patches}}) {
    $patch->{id} = $self->type('int', $patch->{id});
    $patch->{$_} = $self->type('boolean', $patch->{$_}) foreach qw(obsolete patch);
  }
  return $state;
}

sub _authorize {
  my $user = Bugzilla->login(LOGIN_REQUIRED);
  my $group = Bugzilla->params->{gatefeed_group} || 'gate-feed';
  return if $user->in_group($group);
  ThrowUserError('auth_failure', {group => $group, action => 'access', object => 'administrative_pages'});
}

sub _limit {
  my ($params) = @_;
  my $most = Bugzilla::Extension::GateFeed::Feed::MAX_PAGE;
  return _number($params, 'limit', 1, $most, $most);
}

# Returns a whole number of the query within its bounds, untainted; what is none is an error and not a guess.
sub _number {
  my ($params, $name, $least, $most, $default) = @_;
  my $text = $params->{$name} // $default // $least;
  my ($number) = $text =~ /^([0-9]{1,10})$/;
  return $number + 0 if defined $number && $number >= $least && $number <= $most;
  ThrowCodeError('param_invalid', {param => $name, function => 'GateFeed'});
}

1;
