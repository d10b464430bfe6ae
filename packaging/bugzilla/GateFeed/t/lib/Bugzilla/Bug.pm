package Bugzilla::Bug;

# Bugs and their changes: each is one transaction that ends with the hooks which Bugzilla calls then.

use 5.14.0;
use strict;
use warnings;

use Bugzilla;

our $AUTOLOAD;

sub new {
  my ($class, $id) = @_;
  my $row = Bugzilla->dbh->selectrow_hashref('SELECT * FROM bugs WHERE bug_id = ?', undef, $id);
  return bless $row || {bug_id => $id, error => 'NotFound'}, $class;
}

sub id { return $_[0]->{bug_id} }

# The fields.
sub AUTOLOAD {
  my ($self) = @_;
  my ($name) = $AUTOLOAD =~ /([a-z_]+)$/;
  return if $AUTOLOAD =~ /DESTROY/;
  die "a bug has no $name" unless exists $self->{$name} || $name eq 'cf_crash_signature';
  return $self->{$name};
}

sub _names {
  my ($self, $class, $sql) = @_;
  return [map { bless {name => $_}, $class } @{Bugzilla->dbh->selectcol_arrayref($sql, undef, $self->id)}];
}

sub keyword_objects {
  return $_[0]->_names('Bugzilla::Keyword',
    'SELECT name FROM keywords JOIN keyworddefs ON id = keywordid WHERE bug_id = ? ORDER BY name DESC');
}

sub groups_in {
  return $_[0]->_names('Bugzilla::Group',
    'SELECT name FROM bug_group_map JOIN groups ON id = group_id WHERE bug_id = ? ORDER BY name DESC');
}

sub attachments {
  my ($self) = @_;
  my $ids = Bugzilla->dbh->selectcol_arrayref('SELECT attach_id FROM attachments WHERE bug_id = ? ORDER BY attach_id',
    undef, $self->id);
  return [map { Bugzilla::Attachment->new($_) } @$ids];
}

sub create {
  my ($class, $id) = @_;
  my $dbh = Bugzilla->dbh;
  $dbh->bz_start_transaction();
  $dbh->do(q{INSERT INTO bugs VALUES (?, 'CONFIRMED', '', '---', '---')}, undef, $id);
  my $self = $class->new($id);
  Bugzilla::Hook::process('bug_end_of_create', {bug => $self, timestamp => 'now'});
  $dbh->bz_commit_transaction();
  return $self;
}

# Changes fields, keywords and groups (lists) of a bug.
sub change {
  my ($self, %wanted) = @_;
  my $dbh = Bugzilla->dbh;
  $dbh->bz_start_transaction();
  my %changes;
  foreach my $name (sort keys %wanted) {
    my $value = $wanted{$name};
    if ($name eq 'keywords') { _map($self->id, qw(keywords keywordid keyworddefs), $value) }
    elsif ($name eq 'bug_group') { _map($self->id, qw(bug_group_map group_id groups), $value) }
    elsif ($name ne 'short_desc') {
      $dbh->do("UPDATE bugs SET $name = ? WHERE bug_id = ?", undef, $value, $self->id);
    }
    $changes{$name} = [$self->{$name} // '', ref $value ? "@$value" : $value];
  }
  Bugzilla::Hook::process('bug_end_of_update', {bug => ref($self)->new($self->id), changes => \%changes, timestamp => 'now'});
  $dbh->bz_commit_transaction();
  return ref($self)->new($self->id);
}

sub _map {
  my ($bug_id, $map, $column, $names, $wanted) = @_;
  my $dbh = Bugzilla->dbh;
  $dbh->do("DELETE FROM $map WHERE bug_id = ?", undef, $bug_id);
  foreach my $name (@$wanted) {
    $dbh->do("INSERT OR IGNORE INTO $names (name) VALUES (?)", undef, $name);
    $dbh->do("INSERT INTO $map SELECT ?, id FROM $names WHERE name = ?", undef, $bug_id, $name);
  }
}

package Bugzilla::Attachment;

sub new {
  my ($class, $id) = @_;
  return bless Bugzilla->dbh->selectrow_hashref('SELECT * FROM attachments WHERE attach_id = ?', undef, $id), $class;
}

sub id          { return $_[0]->{attach_id} }
sub bug_id      { return $_[0]->{bug_id} }
sub contenttype { return $_[0]->{mimetype} }
sub ispatch     { return $_[0]->{ispatch} }
sub isobsolete  { return $_[0]->{isobsolete} }

sub flags {
  my ($self) = @_;
  my $rows = Bugzilla->dbh->selectall_arrayref('SELECT * FROM flags WHERE attach_id = ? ORDER BY id', {Slice => {}}, $self->id);
  return [map { bless $_, 'Bugzilla::Flag' } @$rows];
}

sub create {
  my ($class, %wanted) = @_;
  my $dbh = Bugzilla->dbh;
  $dbh->bz_start_transaction();
  $dbh->do('INSERT INTO attachments VALUES (?, ?, ?, ?, 0)', undef, @wanted{qw(id bug mimetype ispatch)});
  my $self = $class->new($wanted{id});
  Bugzilla::Hook::process('object_end_of_create', {object => $self, class => $class});
  $self->set_flags($wanted{flags} || []);
  $dbh->bz_commit_transaction();
  return $self;
}

sub change {
  my ($self, %wanted) = @_;
  my $dbh = Bugzilla->dbh;
  $dbh->bz_start_transaction();
  my %changes;
  foreach my $name (sort keys %wanted) {
    $changes{$name} = [$self->{$name}, $wanted{$name}] if $self->{$name} ne $wanted{$name};
    $dbh->do("UPDATE attachments SET $name = ? WHERE attach_id = ?", undef, $wanted{$name}, $self->id);
  }
  my $new = ref($self)->new($self->id);
  Bugzilla::Hook::process('object_end_of_update', {object => $new, old_object => $self, changes => \%changes});
  $dbh->bz_commit_transaction();
  return $new;
}

# Makes these the attachment's flags: a list of [name, status].
sub set_flags {
  my ($self, $wanted, $setter) = @_;
  my $dbh = Bugzilla->dbh;
  $setter //= 'sec';
  $dbh->bz_start_transaction();
  my @before = map { $_->summary } @{$self->flags};
  $dbh->do('DELETE FROM flags WHERE attach_id = ?', undef, $self->id);
  $dbh->do('INSERT INTO flags (attach_id, name, status, setter) VALUES (?, ?, ?, ?)', undef, $self->id, @$_, $setter)
    foreach @$wanted;
  my @after = map { $_->summary } @{$self->flags};
  Bugzilla::Hook::process('flag_end_of_update',
    {object => $self, timestamp => 'now', old_flags => \@before, new_flags => \@after});
  $dbh->bz_commit_transaction();
}

package Bugzilla::Flag;
sub type    { return bless {name => $_[0]->{name}}, 'Bugzilla::FlagType' }
sub status  { return $_[0]->{status} }
sub summary { my ($self) = @_; return "$self->{setter}:$self->{name}$self->{status}" . ($self->{status} eq '?' ? '(sec@example.test)' : '') }

1;
